// Triggers on the changes of one collection, typed by its row.

import { ConfigError } from "../errors.ts";
import type { ChangeEvent } from "../event/change-event.ts";
import { parseCollectionName } from "../event/collection-name.ts";
import { isSourceId, type SourceId } from "../event/source-id.ts";
import { changeSubjectPrefix } from "../event/subject.ts";

/** A row was inserted; `after` is the row. */
export interface CreatedEvent<Row> extends ChangeEvent<Row> {
  readonly op: "created";
  readonly before: null;
  readonly after: Row;
}

/** A row was changed; `after` is the row without the columns named in `unchanged`. */
export interface UpdatedEvent<Row> extends ChangeEvent<Row> {
  readonly op: "updated";
  readonly after: Row;
}

/** A row was deleted; `before` is what the log carried of it, at least nothing. */
export interface DeletedEvent<Row> extends ChangeEvent<Row> {
  readonly op: "deleted";
  readonly after: null;
}

declare const eventType: unique symbol;

/** Which events start an automation. */
export interface Trigger<Event = unknown> {
  readonly source: SourceId;
  /** The whole subject, all lanes: `cdc.shop.public.orders.created.*`. */
  readonly filter: string;
  /** What the handler gets of a change instead; undefined for the change itself. @throws PoisonError */
  readonly decode?: ((event: ChangeEvent) => ChangeEvent) | undefined;
  /** Only a type: what the handler gets. */
  readonly [eventType]?: Event;
}

export interface Collection<Row> {
  created(): Trigger<CreatedEvent<Row>>;
  updated(): Trigger<UpdatedEvent<Row>>;
  deleted(): Trigger<DeletedEvent<Row>>;
}

/**
 * The changes of a collection: `collection<Order>("shop", "public.orders").created()`.
 * @param source the source's id in the configuration
 * @param name `<namespace>.<collection>`, split at the first dot; a namespace with a dot stands in double quotes
 * @param decode makes what the handler gets of each change
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function collection<Row>(source: string, name: string, decode?: Trigger["decode"]): Collection<Row> {
  if (!isSourceId(source)) {
    throw invalid(`"${source}" cannot be a source's id`, "use the name under `sources` in the configuration");
  }
  const parsed = parseCollectionName(name);
  if (parsed === undefined) {
    throw invalid(`"${name}" does not name a collection`, 'write schema and table, like "public.orders"');
  }
  const { namespace, collection: table } = parsed;
  const on = (op: "created" | "updated" | "deleted"): Trigger<never> =>
    Object.freeze({
      source,
      filter: `${changeSubjectPrefix(source, namespace, table, op)}*`,
      ...(decode && { decode }),
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
