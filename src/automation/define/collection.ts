// Triggers on the changes of one collection, typed by its row.

import type { ChangeEvent } from "../../event/change-event.ts";
import { parseCollectionName } from "../../event/collection-name.ts";
import { parseEvent, type StoredMessage } from "../../event/parse-event.ts";
import { isSourceId, type SourceId } from "../../event/source-id.ts";
import { changeSubjectPrefix } from "../../event/subject.ts";
import { invalid } from "../outcome/invalid.ts";
import type { RowShape } from "../pattern/columns.ts";
import { CHANGE_FIELDS, type EventShape } from "../pattern/event-shape.ts";
import type {
  DeclaredCollection,
  Image,
  NeededImages,
  Trigger,
  TriggerCheck,
  TriggerSubscription,
  TriggerWarning,
} from "./trigger.ts";

/** What a key is where nothing is known of it: the identity columns, null for a collection without any. */
export type AnyKey = Readonly<Record<string, unknown>> | null;

/** A row was inserted; `after` is the row. */
export interface CreatedEvent<Row, Key = AnyKey> extends ChangeEvent<Row, Key> {
  readonly op: "created";
  readonly before: null;
  readonly after: Row;
}

/**
 * A row was changed; `after` is the row without the columns named in `unchanged`, which can only be the omissible ones. Of a
 * document it may be null: the log has none, and it may be gone by the time it is looked up.
 */
export interface UpdatedEvent<
  Row,
  Key = AnyKey,
  Omissible extends keyof Row = never,
  After extends Row | Updated<Row, Omissible> | null = Updated<Row, Omissible>,
> extends ChangeEvent<Row | Updated<Row, Omissible>, Key> {
  readonly op: "updated";
  readonly after: After;
}

/** The row after an update: the log leaves large values out that it did not change. */
export type Updated<Row, Omissible extends keyof Row> = [Omissible] extends [never]
  ? Row
  : Omit<Row, Omissible> & Partial<Pick<Row, Omissible>>;

/** A row was deleted; `before` is what the log carried of it, at least nothing. */
export interface DeletedEvent<Row, Key = AnyKey> extends ChangeEvent<Row, Key> {
  readonly op: "deleted";
  readonly after: null;
}

/** Makes what the handler gets of a change. @throws PoisonError */
type DecodeChange = (event: ChangeEvent) => ChangeEvent;

/** Starts at one kind of change of one collection. */
export interface ChangeTrigger<Event = ChangeEvent> extends Trigger<Event> {
  readonly source: SourceId;
  /** The whole subject, all lanes: `cdc.shop.public.orders.created.*`. */
  readonly filter: string;
}

/** What a trigger asks of the changes that it waits for. */
export interface ChangeOptions {
  /**
   * The images that the handler reads: a worker does not start where the source's kind can tell that its log carries none (DynamoDB, by
   * the view type of the table's stream). Default: `after` of what was created or updated.
   */
  readonly images?: readonly Image[];
}

export interface Collection<
  Row,
  Key = AnyKey,
  Omissible extends keyof Row = never,
  After extends Row | Updated<Row, Omissible> | null = Updated<Row, Omissible>,
> {
  created(options?: ChangeOptions): ChangeTrigger<CreatedEvent<Row, Key>>;
  updated(options?: ChangeOptions): ChangeTrigger<UpdatedEvent<Row, Key, Omissible, After>>;
  deleted(options?: ChangeOptions): ChangeTrigger<DeletedEvent<Row, Key>>;
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

/** The same, for what decodes rows by a declaration of their columns. @throws ConfigError `AUTOMATION_INVALID` */
export function decodedCollection<
  Row,
  Key = AnyKey,
  Omissible extends keyof Row = never,
  After extends Row | Updated<Row, Omissible> | null = Updated<Row, Omissible>,
>(
  source: string,
  name: string,
  { decode, properties, columns, open = false }: CollectionOptions & Partial<Pick<DeclaredCollection, "properties">>,
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
  const on =
    (op: "created" | "updated" | "deleted", usual: readonly Image[]) =>
    ({ images = usual }: ChangeOptions = {}): ChangeTrigger<never> => {
      if (!images.every((one) => one === "before" || one === "after"))
        throw invalid("images names something else than before and after", 'write images: ["before", "after"]');
      const needs = images.length === 0 ? undefined : { source, namespace, name: table, images };
      return Object.freeze(new CollectionTrigger({ source, namespace, name: table, op, decode, declared, needs, row }));
    };
  return Object.freeze({
    created: on("created", ["after"]),
    updated: on("updated", ["after"]),
    deleted: on("deleted", []),
  });
}

interface CollectionTriggerOptions {
  readonly source: SourceId;
  readonly namespace: string;
  readonly name: string;
  readonly op: "created" | "updated" | "deleted";
  /** Undefined for the change itself. */
  readonly decode: DecodeChange | undefined;
  readonly declared: DeclaredCollection | undefined;
  readonly needs: NeededImages | undefined;
  readonly row: RowShape | undefined;
}

/** What an op leaves out of every event. */
const NULLS: Readonly<Record<CollectionTriggerOptions["op"], Readonly<Record<string, null>>>> = {
  created: { before: null },
  updated: {},
  deleted: { after: null },
};

class CollectionTrigger implements ChangeTrigger<never> {
  readonly source: SourceId;
  readonly filter: string;
  readonly declared: DeclaredCollection | undefined;
  readonly needs: NeededImages | undefined;
  readonly #shape: EventShape;
  readonly #options: CollectionTriggerOptions;
  readonly #prefix: string;

  constructor(options: CollectionTriggerOptions) {
    const { source, namespace, name, op, declared, needs, row } = options;
    this.#options = options;
    this.#prefix = changeSubjectPrefix(source, namespace, name, op);
    this.source = source;
    this.filter = `${this.#prefix}*`;
    this.declared = declared;
    this.needs = needs;
    const fixed = { op, source, namespace, collection: name, ...NULLS[op] };
    this.#shape = { fields: CHANGE_FIELDS, fixed, row, collection: { source, namespace, name } };
  }

  get shape(): EventShape {
    return this.#shape;
  }

  subscriptions(): readonly TriggerSubscription[] {
    return [{ source: this.source, filter: this.filter }];
  }

  decode(message: StoredMessage): ChangeEvent | undefined {
    if (!message.subject.startsWith(this.#prefix)) return undefined;
    const event = parseEvent(message);
    return this.#options.decode?.(event) ?? event;
  }

  match(): boolean {
    return true;
  }

  check({ known }: TriggerCheck): readonly TriggerWarning[] {
    if (known === undefined) return [];
    const { source, namespace, name } = this.#options;
    if (!known.all.includes(source)) {
      return [
        {
          code: "AUTOMATION_SOURCE_UNKNOWN",
          message: `it listens to the source ${source}, which this configuration does not have: it waits until another worker makes its stream`,
          fix: `Correct the name; the configuration has ${known.all.join(", ") || "none"}.`,
        },
      ];
    }
    const read = known.collections(source);
    if (read === undefined || read.some((one) => one.namespace === namespace && one.name === name)) return [];
    return [
      {
        code: "AUTOMATION_NEVER_MATCHES",
        message: `it listens to ${this.filter}, and the source ${source} reads no such collection: no event will ever match`,
        fix: `Correct the collection's name in the automation, or let the source's option tables (MongoDB: collections) name it; it must exist.`,
      },
    ];
  }
}
