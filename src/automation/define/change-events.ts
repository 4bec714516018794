// Changes as handlers get them, by the trigger that they came by.

import type { ChangeEvent } from "../../event/change-event.ts";

/** What a key is where nothing is known of it: the identity columns, null for a collection without any. */
export type AnyKey = Readonly<Record<string, unknown>> | null;

/** A row was inserted; `after` is the row. */
export interface CreatedEvent<Row, Key = AnyKey> extends ChangeEvent<Row, Key> {
  readonly op: "created";
  readonly before: null;
  readonly after: Row;
}

/** No change: a row that was there before, as a copy of its collection has seen it. It is of no transaction. */
export interface ReadEvent<Row, Key = AnyKey> extends ChangeEvent<Row, Key> {
  readonly op: "read";
  readonly before: null;
  readonly after: Row;
}

/** What a trigger hands out, and the copied rows beside it. */
export type WithCopies<Event> = Event extends CreatedEvent<infer Row, infer Key> ? Event | ReadEvent<Row, Key> : Event;

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

/** An update of which the row before is there, at least the column that the trigger compares. */
export type ComparedEvent<
  Row,
  Key,
  Omissible extends keyof Row,
  After extends Row | Updated<Row, Omissible> | null,
  Column,
> = UpdatedEvent<Row, Key, Omissible, After> & {
  readonly before: Partial<Row> & Readonly<Pick<Row, Column & keyof Row>>;
  readonly after: NonNullable<After>;
};

/** All rows were taken out at once: there is no key and no row. */
export interface TruncatedEvent extends ChangeEvent<never, null> {
  readonly op: "truncated";
  readonly before: null;
  readonly after: null;
}
