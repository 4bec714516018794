// Triggers on the changes of one collection, typed by its row.

import { formatCollectionName, parseCollectionName } from "../../event/collection-name.ts";
import { isSourceId } from "../../event/source-id.ts";
import { invalid, refuseUnknown } from "../outcome/invalid.ts";
import type { RowShape } from "../pattern/columns.ts";
import type { KnownText } from "../pattern/pattern-of.ts";
import type {
  AnyKey,
  ComparedEvent,
  CreatedEvent,
  DeletedEvent,
  TruncatedEvent,
  Updated,
  UpdatedEvent,
} from "./change-events.ts";
import {
  type ChangeOp,
  type ChangeTrigger,
  CollectionTrigger,
  type CollectionTriggerOptions,
  type DecodeChange,
  shapeOfChanges,
} from "./collection-trigger.ts";
import { type GivenPlace, type GivenRow, givenRow, type RowOptions } from "./given-row.ts";
import { changed, crossing, type TransitionInput, transition } from "./row-condition.ts";
import type { DeclaredCollection, Image } from "./trigger.ts";

/** What a trigger asks of the changes that it waits for. */
export interface ChangeOptions {
  /**
   * The images that the handler reads: a worker does not start where the source's kind can tell that its log carries none (DynamoDB, by
   * the view type of the table's stream). Default: `after` of what was created or updated.
   */
  readonly images?: readonly Image[];
}

/** A column by its name; any name where nothing is known of the row. */
export type ColumnOf<Row> = unknown extends Row ? string : keyof Row & string;

/** What values of a column may be compared with: of a bigint or numeric column, whose values are texts, a number too. */
type Comparable<Value> = unknown extends Value
  ? Plain
  : ComparableOf<KnownText<Extract<Value, string>>> | ComparableOf<Exclude<Value, string>>;

type Plain = string | number | bigint | boolean | null;

type ComparableOf<Value> = Value extends string
  ? string extends Value
    ? string | number
    : Value
  : Value extends number | bigint
    ? number | bigint | string
    : Value extends Date
      ? Date | string
      : Value extends boolean | null
        ? Value
        : never;

/** What a column may go from or to: one value, or a list of which it is one. */
export type OneOrMore<Row, Column> =
  | ComparableIn<Row, Column>
  | readonly [ComparableIn<Row, Column>, ...ComparableIn<Row, Column>[]];

type ComparableIn<Row, Column> = unknown extends Row
  ? Plain
  : Column extends keyof Row
    ? Comparable<Row[Column]>
    : never;

/** An update that changed a column, from these values to those. */
export interface TransitionOptions<Row, Column> extends ChangeOptions {
  readonly column: Column;
  /** Default: any other value. */
  readonly from?: OneOrMore<Row, Column>;
  /** Default: any other value. */
  readonly to?: OneOrMore<Row, Column>;
}

/** Where a number goes below, or above, a limit: `{ below: 10 }` takes an update from 10 or more to less than 10. */
export type CrossingOptions =
  | { readonly below: number | bigint | string; readonly above?: never }
  | { readonly above: number | bigint | string; readonly below?: never };

/** Columns whose values may be numbers. */
type NumberColumnOf<Row> = unknown extends Row
  ? string
  : { [Name in keyof Row & string]: MayBeNumber<Row[Name]> extends true ? Name : never }[keyof Row & string];

type MayBeNumber<Value> = unknown extends Value
  ? true
  : [Extract<Value, number | bigint> | NoLabel<KnownText<Extract<Value, string>>>] extends [never]
    ? false
    : true;
/** Texts that a numeric column may have: of an enum its labels are known, and none is a number. */
type NoLabel<Text extends string> = Text extends unknown
  ? Record<never, true> extends Record<Text, true>
    ? Text
    : never
  : never;

export interface Collection<
  Row,
  Key = AnyKey,
  Omissible extends keyof Row = never,
  After extends Row | Updated<Row, Omissible> | null = Updated<Row, Omissible>,
> {
  created(options?: ChangeOptions): ChangeTrigger<CreatedEvent<Row, Key>>;
  updated(
    options?: ChangeOptions & { readonly column?: never },
  ): ChangeTrigger<UpdatedEvent<Row, Key, Omissible, After>>;
  /** Updates that changed one column: `updated({ column: "status", from: "pending", to: ["paid", "shipped"] })`. */
  updated<const Column extends ColumnOf<Row>>(
    options: TransitionOptions<Row, Column>,
  ): ChangeTrigger<ComparedEvent<Row, Key, Omissible, After, Column>>;
  deleted(options?: ChangeOptions): ChangeTrigger<DeletedEvent<Row, Key>>;
  /** Updates that changed any of these columns. */
  changed(
    ...columns: readonly [ColumnOf<Row>, ...ColumnOf<Row>[]]
  ): ChangeTrigger<UpdatedEvent<Row, Key, Omissible, After>>;
  /** Updates by which a number went below a limit, or above one: `crosses("stock", { below: 10 })`. */
  crosses<const Column extends NumberColumnOf<Row>>(
    column: Column,
    options: CrossingOptions,
  ): ChangeTrigger<ComparedEvent<Row, Key, Omissible, After, Column>>;
  /** All rows were taken out at once, and none of them has an event of its own. */
  truncated(): ChangeTrigger<TruncatedEvent>;
  /**
   * A row for the test kit: `orders.row({ id: 1, status: "new" }).updatedTo({ status: "paid" })`.
   * @throws ConfigError `TESTING_KEY_UNKNOWN`, `TESTING_VALUE`
   */
  row(values: Partial<Row>, options?: RowOptions<Row>): GivenRow<Row, Omissible>;
}

/**
 * The changes of a collection: `collection<Order>("shop", "public.orders").created()`. Further types, which `millrace types`
 * writes: the key, the columns that an update may lack (large values that it did not change), and what `after` of an update is:
 * of MongoDB `Order | null`, for the document may be gone by the time it is looked up.
 * @param source the source's id in the configuration
 * @param name `<namespace>.<collection>`, split at the first dot; a namespace with a dot stands in double quotes
 * @param options `columns`: what patterns may know of the columns, by name, as `millrace types` writes it: `{ total: "number" }`
 * makes texts of that column numbers, and what can never match is refused; `open`: a row may have other columns too; `decode`:
 * makes what the handler gets of each change
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function collection<
  Row,
  Key = AnyKey,
  Omissible extends keyof Row = never,
  After extends Row | Updated<Row, Omissible> | null = Updated<Row, Omissible>,
>(source: string, name: string, options: CollectionOptions = {}): Collection<Row, Key, Omissible, After> {
  return decodedCollection(source, name, options);
}

/** What is known of a collection beside its name. */
export interface CollectionOptions extends Partial<RowShape> {
  /** Makes what the handler gets of each change; `columns` are those of its rows. */
  readonly decode?: DecodeChange;
}

interface DecodedOptions
  extends CollectionOptions,
    Partial<Pick<DeclaredCollection, "properties">>,
    Pick<GivenPlace, "encode" | "key"> {}

/** The same, for what decodes rows by a declaration of their columns. @throws ConfigError `AUTOMATION_INVALID` */
export function decodedCollection<
  Row,
  Key = AnyKey,
  Omissible extends keyof Row = never,
  After extends Row | Updated<Row, Omissible> | null = Updated<Row, Omissible>,
>(
  source: string,
  name: string,
  { decode, properties, columns, open = false, encode, key }: DecodedOptions,
): Collection<Row, Key, Omissible, After> {
  if (!isSourceId(source)) {
    throw invalid(`"${source}" cannot be a source's id`, "use the name under `sources` in the configuration");
  }
  const parsed = parseCollectionName(name);
  if (parsed === undefined) {
    throw invalid(
      `"${name}" does not name a collection`,
      'write schema and table, like "public.orders"; of MongoDB database and collection, like "shop.orders"; of DynamoDB "_" and table, like "_.orders"',
    );
  }
  const { namespace, collection: table } = parsed;
  const declared = properties && { source, namespace, name: table, properties };
  const row = columns && { columns, open };
  const place = formatCollectionName(parsed);
  const on = (op: ChangeOp, more: Pick<CollectionTriggerOptions, "images" | "condition">): ChangeTrigger<never> =>
    Object.freeze(new CollectionTrigger({ source, namespace, name: table, op, decode, declared, row, ...more }));
  const shape = shapeOfChanges({ source, namespace, name: table, op: "updated", row, decode });
  return Object.freeze({
    created: ({ images = ["after"] }: ChangeOptions = {}) => on("created", { images: checked(images) }),
    updated: (options: ChangeOptions & Partial<TransitionInput> = {}) => {
      refuseUnknown(options, UPDATED, `${place}: updated: `);
      const { column, from, to, images = ["after"] } = options;
      if (column === undefined && (from !== undefined || to !== undefined)) {
        throw invalid(`${place}: updated: from and to are of no column`, 'write column: "status" beside them');
      }
      const condition = column === undefined ? undefined : transition({ column, from, to }, shape, `${place}: updated`);
      return on("updated", { images: checked(images), condition });
    },
    deleted: ({ images = [] }: ChangeOptions = {}) => on("deleted", { images: checked(images) }),
    changed: (...names: readonly string[]) => {
      if (names.length === 0 || names.some((name) => typeof name !== "string"))
        throw invalid(`${place}: changed takes names of columns`, 'write changed("status", "total")');
      return on("updated", { images: ["after"], condition: changed(names, shape, `${place}: changed`) });
    },
    crosses: (column: string, limit: CrossingOptions) =>
      on("updated", { images: ["after"], condition: crossing(column, limit, shape, `${place}: crosses`) }),
    truncated: () => on("truncated", { images: [] }),
    row: (values: Partial<Row>, given?: RowOptions<Row>) =>
      givenRow({ source, namespace, name: table, encode, key }, values, given as RowOptions<object>),
  }) as Collection<Row, Key, Omissible, After>;
}

const UPDATED = { images: true, column: true, from: true, to: true } as const;

/** @throws ConfigError `AUTOMATION_INVALID` */
function checked(images: readonly Image[]): readonly Image[] {
  if (images.every((one) => one === "before" || one === "after")) return images;
  throw invalid("images names something else than before and after", 'write images: ["before", "after"]');
}
