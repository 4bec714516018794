// The outbox of a DynamoDB: a table that the application writes in the same TransactWriteItems as its items. Nothing is sent here:
// an event is made into the write of it, which the application puts into its transaction.

import { ConfigError, PoisonError } from "../errors.ts";
import { type Cause, checkedCause } from "./cause.ts";
import { type Entry, type EventParts, type EventSchemas, entryOf, MAX_BYTES, namesOf, refuseLarge } from "./entry.ts";
import { refuseUnknownOptions } from "./options.ts";
import type { EventSchema } from "./standard-schema.ts";

/** An attribute as the SDK's own client has it. */
export type DynamoAttribute =
  | { readonly S: string }
  | { readonly N: string }
  | { readonly M: Readonly<Record<string, DynamoAttribute>> };

/** One of the `TransactItems` of a TransactWriteItems. */
export interface DynamoWrite<Value> {
  readonly Put: {
    readonly TableName: string;
    readonly Item: Record<string, Value>;
    readonly ConditionExpression: string;
    readonly ExpressionAttributeNames: Record<string, string>;
    readonly ExpressionAttributeValues: Record<string, Value>;
  };
}

export interface DynamoOutboxOptions<Schemas extends EventSchemas = EventSchemas> {
  /** The one that the source's option `outbox` names. */
  readonly table: string;
  /** Only these types may be emitted, and their data is checked first. Without it: any type, any data. */
  readonly events?: Schemas;
  /** For how many days the item stays, where the table's TTL is set to `expires_at`. Default 7. */
  readonly keepDays?: number;
  /** The largest message that the bus takes, in bytes. Default 1048576, that of nats-server; an item holds 400 KB. */
  readonly maxBytes?: number;
  /** What caused it, for whoever follows a chain of events: their ids. */
  readonly lineage?: Cause;
}

/** An event that is not written yet. */
export interface DynamoEvent<Value> {
  /** `ce-id` */
  readonly id: string;
  /** What writes it: belongs into the transaction that makes it true. */
  readonly item: DynamoWrite<Value>;
}

export interface DynamoOutbox<Schemas extends EventSchemas, Value> {
  /**
   * Makes the event `<aggregate>.<name>`, split at the first dot; sends nothing.
   * @throws PoisonError OUTBOX_EVENT_INVALID, OUTBOX_EVENT_TOO_LARGE
   */
  emit<Type extends keyof Schemas & string>(
    type: Type,
    event: EventParts<Schemas[Type] extends EventSchema<infer Input> ? Input : never>,
  ): Promise<DynamoEvent<Value>>;
}

/** Of a partition key. */
const MAX_KEY_BYTES = 2048;
const MAX_ITEM_BYTES = 400 * 1024;
/** Numbers, maps, and what the server counts for itself. */
const MARGIN_BYTES = 256;
const DAY_SECONDS = 86_400;
const MAX_DAYS = 3650;

const OPTIONS: Readonly<Record<keyof DynamoOutboxOptions | "plain", true>> = {
  ...{ table: true, events: true, keepDays: true, maxBytes: true, lineage: true, plain: true },
};

/**
 * The outbox in a table of DynamoDB, for the SDK's own client:
 * `TransactItems: [{ Put: order }, (await dynamoOutbox({ table: "outbox" }).emit("order.placed", { key, data })).item]`.
 * @throws ConfigError OUTBOX_TABLE_UNKNOWN, OUTBOX_OPTION_UNKNOWN; PoisonError LINEAGE_MALFORMED
 */
export function dynamoOutbox<Schemas extends EventSchemas = EventSchemas>(
  options: DynamoOutboxOptions<Schemas> & { readonly plain?: false },
): DynamoOutbox<Schemas, DynamoAttribute>;
/** The same for the SDK's document client, which takes plain values. */
export function dynamoOutbox<Schemas extends EventSchemas = EventSchemas>(
  options: DynamoOutboxOptions<Schemas> & { readonly plain: true },
): DynamoOutbox<Schemas, unknown>;
export function dynamoOutbox(
  options: DynamoOutboxOptions & { readonly plain?: boolean },
): DynamoOutbox<EventSchemas, unknown> {
  refuseUnknownOptions(options, OPTIONS);
  const { table, events, keepDays = 7, maxBytes = MAX_BYTES, lineage, plain = false } = options;
  if (!/^[A-Za-z0-9_.-]+$/.test(table)) throw unknown("the option table is no name of a table");
  if (!(keepDays > 0 && keepDays <= MAX_DAYS))
    throw unknown(`the option keepDays is no number of days up to ${MAX_DAYS}`);
  const cause = checkedCause(lineage);
  return {
    emit: async (type, event) => {
      const entry = await entryOf(type, event as EventParts, events);
      refuseLarge(entry, maxBytes);
      const item = itemOf(entry, cause, keepDays);
      refuseItem(entry, item);
      return { id: entry.id, item: putOf(table, entry.id, item, plain) };
    },
  };
}

type Plain = Readonly<Record<string, string | number | Readonly<Record<string, string>>>>;

/** The data as JSON text, so that nothing of it is changed on the way: DynamoDB has numbers of its own, and the SDK opinions on what is empty. */
function itemOf(entry: Entry, cause: Cause | undefined, keepDays: number): Plain {
  const { aggregate, name } = namesOf(entry);
  const now = Date.now();
  return {
    aggregateid: entry.key,
    aggregatetype: aggregate,
    id: entry.id,
    type: name,
    payload: entry.data,
    headers: JSON.parse(entry.headers) as Readonly<Record<string, string>>,
    ...(cause && { lineage: { ...cause } }),
    created_at: new Date(now).toISOString(),
    expires_at: Math.ceil(now / 1000 + keepDays * DAY_SECONDS),
  };
}

/**
 * Where an aggregate is one item, the next event writes over the one before, which is in the stream. An event that is there already
 * is refused with its transaction: written again it would be no change, and nobody would hear of it.
 */
function putOf(table: string, id: string, item: Plain, plain: boolean): DynamoWrite<unknown> {
  const values = plain ? { ...item } : attributesOf(item);
  return {
    Put: {
      TableName: table,
      Item: values,
      ConditionExpression: "attribute_not_exists(#id) OR #id <> :id",
      ExpressionAttributeNames: { "#id": "id" },
      ExpressionAttributeValues: { ":id": plain ? id : { S: id } },
    },
  };
}

function attributesOf(values: Plain): Record<string, DynamoAttribute> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]): [string, DynamoAttribute] => {
      if (typeof value === "object") return [name, { M: attributesOf(value) }];
      return [name, typeof value === "number" ? { N: String(value) } : { S: value }];
    }),
  );
}

/** @throws PoisonError OUTBOX_EVENT_INVALID, OUTBOX_EVENT_TOO_LARGE for what the table cannot take */
function refuseItem({ key, type }: Entry, item: Plain): void {
  const keyBytes = Buffer.byteLength(key);
  if (keyBytes === 0 || keyBytes > MAX_KEY_BYTES) {
    throw new PoisonError(
      "OUTBOX_EVENT_INVALID",
      `${JSON.stringify(type)} cannot be an event: its key is empty, or longer than ${MAX_KEY_BYTES} bytes`,
      { hint: "correct the call of emit(): the key is a key attribute of the outbox" },
    );
  }
  const bytes = sizeOf(item) + MARGIN_BYTES;
  if (bytes <= MAX_ITEM_BYTES) return;
  throw new PoisonError(
    "OUTBOX_EVENT_TOO_LARGE",
    `the event ${type} needs ${bytes} bytes, and an item of DynamoDB holds ${MAX_ITEM_BYTES}`,
    { hint: "put a reference to the large part into the event" },
  );
}

function sizeOf(values: Plain): number {
  return Object.entries(values)
    .map(
      ([name, value]) =>
        Buffer.byteLength(name) + (typeof value === "object" ? sizeOf(value) + 8 : Buffer.byteLength(String(value))),
    )
    .reduce((sum, bytes) => sum + bytes, 0);
}

function unknown(what: string): ConfigError {
  return new ConfigError("OUTBOX_TABLE_UNKNOWN", what, {
    hint: 'Pass the table that the source\'s option outbox names: dynamoOutbox({ table: "outbox" }).',
  });
}
