// Triggers on the changes of one collection, typed by its row.

import { ConfigError } from "../../errors.ts";
import type { ChangeEvent } from "../../event/change-event.ts";
import { parseCollectionName } from "../../event/collection-name.ts";
import { isSourceId, type SourceId } from "../../event/source-id.ts";
import { changeSubjectPrefix } from "../../event/subject.ts";

/** What a key is where nothing is known of it: the identity columns, null for a collection without any. */
export type AnyKey = Readonly<Record<string, unknown>> | null;

/** A row was inserted; `after` is the row. */
export interface CreatedEvent<Row, Key = AnyKey> extends ChangeEvent<Row, Key> {
  readonly op: "created";
  readonly before: null;
  readonly after: Row;
}

/** A row was changed; `after` is the row without the columns named in `unchanged`, which can only be the omissible ones. */
export interface UpdatedEvent<Row, Key = AnyKey, Omissible extends keyof Row = never>
  extends ChangeEvent<Row | Updated<Row, Omissible>, Key> {
  readonly op: "updated";
  readonly after: Updated<Row, Omissible>;
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

declare const eventType: unique symbol;

/** A collection as the application's code declares it. */
export interface DeclaredCollection {
  readonly namespace: string;
  readonly name: string;
  /** The declared property of each column, by every name that the column may have in the database. */
  readonly properties: ReadonlyMap<string, string>;
}

/** Which events start an automation. */
export interface Trigger<Event = unknown> {
  readonly source: SourceId;
  /** The whole subject, all lanes: `cdc.shop.public.orders.created.*`. */
  readonly filter: string;
  /** What the handler gets of a change instead; undefined for the change itself. @throws PoisonError */
  readonly decode?: ((event: ChangeEvent) => ChangeEvent) | undefined;
  /** What `decode` takes the rows to be; undefined where it takes them as they come. */
  readonly declared?: DeclaredCollection | undefined;
  /** Only a type: what the handler gets. */
  readonly [eventType]?: Event;
}

export interface Collection<Row, Key = AnyKey, Omissible extends keyof Row = never> {
  created(): Trigger<CreatedEvent<Row, Key>>;
  updated(): Trigger<UpdatedEvent<Row, Key, Omissible>>;
  deleted(): Trigger<DeletedEvent<Row, Key>>;
}

/**
 * The changes of a collection: `collection<Order>("shop", "public.orders").created()`. Further types, which `millrace types`
 * writes: the key, and the columns that an update may lack (large values that it did not change).
 * @param source the source's id in the configuration
 * @param name `<namespace>.<collection>`, split at the first dot; a namespace with a dot stands in double quotes
 * @param decode makes what the handler gets of each change
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function collection<Row, Key = AnyKey, Omissible extends keyof Row = never>(
  source: string,
  name: string,
  decode?: Trigger["decode"],
): Collection<Row, Key, Omissible> {
  return decodedCollection(source, name, { decode });
}

/** The same, for what decodes rows by a declaration of their columns. @throws ConfigError `AUTOMATION_INVALID` */
export function decodedCollection<Row, Key = AnyKey, Omissible extends keyof Row = never>(
  source: string,
  name: string,
  { decode, properties }: Pick<Trigger, "decode"> & Partial<Pick<DeclaredCollection, "properties">>,
): Collection<Row, Key, Omissible> {
  if (!isSourceId(source)) {
    throw invalid(`"${source}" cannot be a source's id`, "use the name under `sources` in the configuration");
  }
  const parsed = parseCollectionName(name);
  if (parsed === undefined) {
    throw invalid(`"${name}" does not name a collection`, 'write schema and table, like "public.orders"');
  }
  const { namespace, collection: table } = parsed;
  const declared = properties && { namespace, name: table, properties };
  const on = (op: "created" | "updated" | "deleted"): Trigger<never> =>
    Object.freeze({
      source,
      filter: `${changeSubjectPrefix(source, namespace, table, op)}*`,
      ...(decode && { decode }),
      ...(declared && { declared }),
    });
  return Object.freeze({
    created: () => on("created"),
    updated: () => on("updated"),
    deleted: () => on("deleted"),
  });
}

function invalid(message: string, hint: string): ConfigError {
  return new ConfigError("AUTOMATION_INVALID", message, { hint });
}
