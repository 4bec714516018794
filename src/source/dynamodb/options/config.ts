// The options of a DynamoDB source: what may be written, and what they default to.

import { z } from "zod";
import { durationSchema } from "../../../config/duration-schema.ts";
import { parseConfig } from "../../../config/parse.ts";
import { type GuardLimits, guardSchema } from "./guard-config.ts";
import { isExclusion, isName, tableFilter } from "./table-pattern.ts";

export interface DynamoConfig {
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  readonly profile: string | undefined;
  readonly tables: readonly string[];
  /** Undefined: whatever a table is tagged with. */
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly start: "now" | "earliest";
  readonly encoding: "json" | "dynamodb-json";
  readonly poll: { readonly minMs: number; readonly maxIdleMs: number };
  readonly scan: { readonly maxRcu: number | undefined; readonly streamDelayMs: number };
  /** Patterns of the tables whose items are copied once. */
  readonly backfill: readonly string[];
  readonly onGap: "stop" | "continue" | "backfill";
  readonly guard: GuardLimits;
  /** Undefined: the source carries none. */
  readonly outbox: { readonly table: string } | undefined;
}

const pattern = z.string().regex(/^!?[A-Za-z0-9_.*-]+$/, { error: "expected the name of a table, which may have a *" });

export const dynamoSchema: z.ZodType<DynamoConfig> = z
  .strictObject({
    region: z
      .string()
      .min(1)
      .optional()
      .describe("The region of the tables: `eu-west-1`. By default that of the environment or the profile."),
    endpoint: z
      .string()
      .regex(/^https?:\/\/[^/]+/, { error: "expected http:// or https://" })
      .optional()
      .describe("Where DynamoDB answers, where that is not AWS: `http://127.0.0.1:8000`."),
    profile: z
      .string()
      .min(1)
      .optional()
      .describe("The profile of the AWS configuration that credentials are taken from."),
    tables: z
      .array(pattern)
      .min(1)
      .refine((patterns) => !patterns.every(isExclusion), {
        error: 'expected a pattern that names tables, like "*", beside those that leave out',
      })
      .describe("The tables to read: `*` stands for any letters, a leading `!` leaves tables out."),
    tags: z
      .record(z.string().min(1), z.string())
      .refine((tags) => Object.keys(tags).length > 0, { error: 'expected { name: "value" }' })
      .optional()
      .describe(
        'Of tables that a pattern with `*` names only those with all of these tags: `{ team: "orders" }`. They are looked at as tables come, and every five minutes.',
      ),
    start: z
      .enum(["now", "earliest"])
      .default("now")
      .describe('Where a first start begins: "now", or "earliest": what the streams still hold, of a day at most.'),
    encoding: z
      .enum(["json", "dynamodb-json"])
      .default("json")
      .describe('"json", or "dynamodb-json": values as the server writes them, which keeps each type.'),
    poll: z
      .strictObject({
        minMs: z
          .int()
          .min(20)
          .max(60_000)
          .default(250)
          .describe("How long a shard rests behind an answer that was not full."),
        maxIdleMs: z
          .int()
          .min(20)
          .max(60_000)
          .default(2_000)
          .describe("The same of a shard that has had nothing for long. Each answer is paid for, also an empty one."),
      })
      .prefault({})
      .refine(({ minMs, maxIdleMs }) => minMs <= maxIdleMs, { error: "expected minMs not above maxIdleMs" })
      .describe("How often each open shard is asked."),
    scan: z
      .strictObject({
        maxRcu: z
          .number()
          .gt(0)
          .optional()
          .describe(
            "Read capacity units a second that a backfill takes of a table at most, in the mean: one for each 4 KB, for its reads are consistent. By default as many as it gets.",
          ),
        streamDelay: durationSchema
          .prefault("5s")
          .describe(
            "How far a table and its stream may be apart: items that were read are held until the stream was read so much longer. A change that comes later than that may put a consumer back to an older item, for as long as it takes until the change behind it has come too.",
          ),
      })
      .prefault({})
      .transform(({ maxRcu, streamDelay }) => ({ maxRcu, streamDelayMs: streamDelay }))
      .describe(
        "How a backfill reads the items that are there: docs/connectors/dynamodb.md#copying-items-that-are-there.",
      ),
    backfill: z
      .union([z.enum(["initial", "none"]), z.strictObject({ initial: z.array(pattern).min(1) })], {
        error: 'expected "initial", "none", or { initial: ["table"] }',
      })
      .prefault("none")
      .transform((copied) => (copied === "none" ? [] : copied === "initial" ? ["*"] : copied.initial))
      .describe(
        'What becomes of items that a table has when the source first reads it: "none", or "initial": they are copied once beside the stream, as op `read`; `{ initial: ["carts"] }` names the tables of which they are (docs/connectors/dynamodb.md#copying-items-that-are-there).',
      ),
    onGap: z
      .enum(["stop", "continue", "backfill"])
      .default("stop")
      .describe(
        'When a stream no longer holds what comes next: "stop"; "continue" behind a recorded gap; or "backfill": continue, and copy the tables that the gap is about (docs/operations/shard-lost.md).',
      ),
    guard: guardSchema.prefault({}).describe("From where on the guard warns: docs/operations/guard.md."),
    outbox: z
      .strictObject(
        { table: z.string().regex(/^[A-Za-z0-9_.-]+$/, { error: "expected the name of a table" }) },
        { error: 'expected { table: "outbox" }' },
      )
      .optional()
      .describe(
        "The table that the application writes its domain events to, in the transaction that makes them true (docs/outbox.md). What is written there becomes `events.<source>...`; it is read whatever `tables` names, and never as changes.",
      ),
  })
  .superRefine(({ tables, tags, outbox }, context) => {
    if (tags !== undefined && tables.every((one) => isExclusion(one) || isName(one))) {
      const message =
        'expected a pattern with * in tables beside it, like "*": a table that is named is read whatever its tags';
      context.addIssue({ code: "custom", path: ["tags"], message });
    }
    const excludes = outbox && tables.find((one) => isExclusion(one) && tableFilter([one.slice(1)])(outbox.table));
    if (excludes === undefined) return;
    const message = `${JSON.stringify(excludes)} of tables leaves it out: take that away, for an outbox is never read as changes`;
    context.addIssue({ code: "custom", path: ["outbox", "table"], message });
  })
  .transform(
    ({ region, endpoint, profile, tags, outbox, ...config }): DynamoConfig => ({
      ...{ region, endpoint, profile, tags, outbox },
      ...config,
    }),
  );

/** @throws ConfigError CONFIG_INVALID, CONFIG_UNKNOWN_KEY with the path of the bad value */
export function parseDynamoConfig(input: unknown, path: string): DynamoConfig {
  return parseConfig(dynamoSchema, input, path);
}
