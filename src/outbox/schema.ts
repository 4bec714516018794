// The tables of outbox and inbox, for drizzle. The migrations are made from this; the outbox's columns are Debezium's.

import { index, jsonb, pgSchema, primaryKey, text, timestamp, uuid } from "drizzle-orm/pg-core";

/** Nothing else is in it. */
export const millraceSchema = pgSchema("millrace");

/** One row is one domain event, `events.<source>.<aggregatetype>.<type>.<lane>`, as soon as its insert is committed. */
export const outboxTable = millraceSchema.table(
  "outbox",
  {
    id: uuid().primaryKey().defaultRandom(),
    aggregatetype: text().notNull(),
    aggregateid: text().notNull(),
    type: text().notNull(),
    payload: jsonb().notNull(),
    headers: jsonb().$type<Readonly<Record<string, string>>>().notNull().default({}),
    created_at: timestamp({ withTimezone: true }).notNull().defaultNow(),
  },
  // For the clean-up of kept rows; it costs an insert next to nothing.
  (table) => [index("outbox_created_at").using("brin", table.created_at)],
);

/** One row is one event that an automation has handled, with its effect in the same transaction. */
export const inboxTable = millraceSchema.table(
  "inbox",
  {
    automation: text().notNull(),
    event_id: text().notNull(),
    /** The name of a replay on purpose: then the effect happens again. Empty for the first time. */
    run: text().notNull().default(""),
    at: timestamp({ withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.automation, table.event_id, table.run] }),
    index("inbox_at").using("brin", table.at),
  ],
);
