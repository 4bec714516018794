// What `import … from "millrace/outbox"` offers: events of the application's own, written in its own transactions.

export type { Lineage } from "./event/lineage.ts";
export {
  type DynamoAttribute,
  type DynamoEvent,
  type DynamoOutbox,
  type DynamoOutboxOptions,
  type DynamoWrite,
  dynamoOutbox,
} from "./outbox/dynamo-outbox.ts";
export { type Outbox, type OutboxOptions, outbox } from "./outbox/emit.ts";
export type { EventParts, EventSchemas } from "./outbox/entry.ts";
export type { MongoCollection, MongoOutboxOptions, MongoSession } from "./outbox/mongo-outbox.ts";
export { inboxTable, millraceSchema, outboxTable } from "./outbox/schema.ts";
export type { SqlClient } from "./outbox/sql-client.ts";
export type { EventSchema } from "./outbox/standard-schema.ts";
export { writeLineage } from "./outbox/write-lineage.ts";
