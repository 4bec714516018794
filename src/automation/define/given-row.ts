// A row that a test gives, and what became of it: `orders.row({ id: 1, status: "pending" }).updatedTo({ status: "paid" })`. The
// test kit makes of it what a source's log would say.

import { ConfigError } from "../../errors.ts";
import type { ChangeBody } from "../../event/change-event.ts";
import type { SourceId } from "../../event/source-id.ts";
import { jsonOf } from "./json-of.ts";

type Json = Readonly<Record<string, unknown>>;

const kind: unique symbol = Symbol.for("millrace.given");

/** A change that a test gives to its automation. */
export interface GivenChange {
  readonly [kind]: "change";
  readonly source: SourceId;
  readonly namespace: string;
  readonly name: string;
  /** As the source would write it. */
  readonly body: ChangeBody;
}

/** What a test says of a row's table. */
export interface RowOptions<Row> {
  /** The columns of the key, in its order. Default: `id`, or a document's `_id`. */
  readonly key?: readonly (keyof Row & string)[];
  /** `false`: the log has no row before, as in a table with Postgres' own REPLICA IDENTITY DEFAULT. Default: it has the whole one. */
  readonly before?: boolean;
}

/** What a test says of an update. */
export interface UpdateOptions<Omissible> {
  /** Columns that the log left out, for they were large and did not change: `after` lacks them. */
  readonly unchanged?: readonly Omissible[];
}

/** A row that a test gives: it may lack the columns that the test is not about, and then its events lack them too. */
export interface GivenRow<Row, Omissible extends keyof Row = never> {
  /** It was inserted. */
  created(): GivenChange;
  /** These columns were changed. @throws ConfigError `TESTING_KEY_CHANGED` */
  updatedTo(columns: Partial<Row>, options?: UpdateOptions<Omissible>): GivenChange;
  /** It was deleted. */
  deleted(): GivenChange;
  /** It was there before, and a copy of its collection has stored it: op `read`, for an automation with `includeBackfill`. */
  copied(): GivenChange;
}

/** What a row is given of its collection. */
export interface GivenPlace {
  readonly source: SourceId;
  readonly namespace: string;
  readonly name: string;
  /** Writes a row as its source does; undefined where rows are what events have. */
  readonly encode?: ((row: Json) => Json) | undefined;
  /** Columns of the key, where they are known. */
  readonly key?: readonly string[] | undefined;
}

/** Whether it is what `created`, `updatedTo` or `deleted` of a row has made. */
export function isGivenChange(value: unknown): value is GivenChange {
  return typeof value === "object" && value !== null && (value as { [kind]?: unknown })[kind] === "change";
}

/** A change that tells of all rows of a table at once. */
export function givenTruncation(place: Pick<GivenChange, "source" | "namespace" | "name">): GivenChange {
  const body = { op: "truncated", key: null, before: null, after: null } as const;
  return Object.freeze({ [kind]: "change" as const, ...place, body });
}

/** @throws ConfigError `TESTING_KEY_UNKNOWN`, `TESTING_VALUE` */
export function givenRow(place: GivenPlace, values: Json, options: RowOptions<Json> = {}): GivenRow<Json, string> {
  const { source, namespace, name, encode = (row: Json) => jsonOf(row) as Json } = place;
  const names = keyNames(place, values, options.key);
  const row = encode(values);
  const keyed = encode(pick(values, names));
  const before = options.before === false ? null : row;
  const change = (body: Omit<ChangeBody, "key">): GivenChange => {
    const { op, ...rest } = body;
    return Object.freeze({ [kind]: "change" as const, source, namespace, name, body: { op, key: keyed, ...rest } });
  };
  return Object.freeze({
    created: () => change({ op: "created", before: null, after: row }),
    updatedTo: (columns: Json, { unchanged = [] }: UpdateOptions<string> = {}) => {
      const moved = names.find((one) => one in columns && columns[one] !== values[one]);
      if (moved !== undefined) throw keyChanged(name, moved);
      const whole = { ...row, ...encode(columns) };
      const left = Object.keys(encode(pick(values, unchanged)));
      const after = Object.fromEntries(Object.entries(whole).filter(([column]) => !left.includes(column)));
      const changed = Object.keys(whole).filter((one) => JSON.stringify(whole[one]) !== JSON.stringify(row[one]));
      return change({
        op: "updated",
        before,
        after,
        ...(before !== null && { changed }),
        ...(left.length > 0 && { unchanged: left }),
      });
    },
    deleted: () => change({ op: "deleted", before, after: null }),
    copied: () => change({ op: "read", before: null, after: row }),
  });
}

/** @throws ConfigError `TESTING_KEY_UNKNOWN` */
function keyNames(
  { name, key: known }: GivenPlace,
  values: Json,
  given: readonly string[] | undefined,
): readonly string[] {
  const usual = ["id", "_id"].filter((column) => column in values).slice(0, 1);
  const names = given ?? known ?? (usual.length > 0 ? usual : undefined);
  if (names?.every((column) => values[column] !== undefined)) return names;
  const lacks =
    names === undefined ? "nothing says which columns are its key" : `it lacks its key, ${names.join(", ")}`;
  throw new ConfigError("TESTING_KEY_UNKNOWN", `a row of ${name} cannot become an event: ${lacks}`, {
    hint: 'give the row its key, and name the columns where it is not id: row({ ... }, { key: ["order_id", "line"] })',
  });
}

function keyChanged(name: string, column: string): ConfigError {
  return new ConfigError("TESTING_KEY_CHANGED", `updatedTo changes ${column}, a column of the key of ${name}`, {
    hint: "a source tells a changed key as two events: give the old row deleted() and the new one created()",
  });
}

function pick(values: Json, names: readonly string[]): Json {
  return Object.fromEntries(names.filter((name) => name in values).map((name) => [name, values[name]]));
}
