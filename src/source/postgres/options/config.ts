// The options of a Postgres source: what may be written, and what they default to.

import { z } from "zod";
import { parseConfig } from "../../../config/parse.ts";
import { toError } from "../../../errors.ts";
import { parseDuration } from "../../../event/duration.ts";
import { parseConnectionUrl } from "../client/connection-url.ts";
import { type FullSlot, type GuardLimits, guardSchema, slotSchema } from "./guard-config.ts";
import { backfillSchema, type TableItem, tableItemSchema } from "./table-options.ts";
import { isOwnOutbox, outboxPatterns } from "./table-pattern.ts";
import { needsMaskKey, type RulesOf, tableRules } from "./table-rules.ts";

export interface PostgresConfig {
  /** May hold a password: never printed. */
  readonly url: string;
  readonly tables: readonly TableItem[];
  /** What all of these items together say of a table. */
  readonly rulesOf: RulesOf;
  /** Undefined means `millrace_<id>`. */
  readonly slot?: string | undefined;
  /** What to do, as a last resort, when the slot holds too much; undefined means nothing. */
  readonly full: FullSlot | undefined;
  readonly guard: GuardLimits;
  /** Undefined means `millrace_<id>`. */
  readonly publication?: string | undefined;
  /** Whether some table's rows are to be copied once, which `rulesOf` says of each. */
  readonly copies: boolean;
  /** What to do when the log was lost: "continue" starts over and records the gap, "backfill" also copies all tables. */
  readonly onGap: "stop" | "continue" | "backfill";
  readonly timeoutMs: number;
  readonly maxRowBytes: number;
  /** Prefixes of the logical messages that become events. */
  readonly messages: readonly string[];
  /** Undefined: the source carries none. */
  readonly outbox?: OutboxConfig | undefined;
}

export interface OutboxConfig {
  /** Undefined in the mode "message". */
  readonly table: { readonly schema: string; readonly name: string } | undefined;
  /** How long rows are kept that the application leaves in the table; undefined: for ever. */
  readonly keepMs: number | undefined;
  /** What the database's setting `millrace.outbox` must be; only our own table is what `millrace.emit` writes. */
  readonly setting: "delete" | "keep" | "message";
}

/** Where the migrations make it. */
const OUTBOX_TABLE = "millrace.outbox";

const outboxSchema = z
  .strictObject({
    mode: z.enum(["table", "message"]).default("table"),
    keep: z.string().optional(),
    table: z.string().default(OUTBOX_TABLE),
  })
  .transform(({ mode, keep, table }, context): OutboxConfig => {
    const invalid = (path: string, message: string): never => {
      context.addIssue({ code: "custom", path: [path], message });
      return z.NEVER;
    };
    const [, schema, name] = /^([^.]+)\.(.+)$/s.exec(table) ?? [];
    if (schema === undefined || name === undefined) return invalid("table", 'expected "schema.table"');
    if (mode === "message" && (keep !== undefined || !isOwnOutbox({ schema, name }))) {
      return invalid("mode", 'the mode "message" has no table, and nothing to keep');
    }
    const keepMs = keep === undefined ? undefined : parseDuration(keep);
    if (keep !== undefined && (keepMs === undefined || keepMs <= 0))
      return invalid("keep", 'expected a duration like "7d"');
    if (mode === "message") return { table: undefined, keepMs, setting: "message" };
    const kept = keepMs !== undefined && isOwnOutbox({ schema, name });
    return { table: { schema, name }, keepMs, setting: kept ? "keep" : "delete" };
  });

export const postgresSchema: z.ZodType<PostgresConfig> = z
  .strictObject({
    url: z
      .string()
      .superRefine((text, context) => {
        try {
          parseConnectionUrl(text);
        } catch (error) {
          context.addIssue({ code: "custom", message: toError(error).message });
        }
      })
      .describe(
        "Where the database is, directly and not through a pooler: `postgres://user@host:5432/database`, with libpq's parameters, such as `?sslmode=verify-full` (docs/operations/tls.md).",
      ),
    tables: z
      .array(tableItemSchema)
      .min(1, { error: "expected at least one table" })
      .prefault(["public.*"])
      .describe(
        'The tables to read, as "schema.table": `*` stands for any letters, a leading `!` leaves tables out, names in double quotes are taken as they are. An item may be an object `{ match, columns, mask, values, where, toast }`: docs/connectors/postgres.md.',
      ),
    maskKey: z
      .string()
      .min(16, { error: "expected at least 16 letters" })
      .optional()
      .describe('The key of masks by "hash", from the environment alone: `env("MASK_KEY")`.'),
    slot: slotSchema
      .optional()
      .describe(
        "The name of the replication slot, `millrace_<source>` by default; or an object, to bound what it may hold.",
      ),
    publication: z
      .string()
      .regex(/^[^\0]{1,63}$/, { error: "expected up to 63 letters" })
      .optional()
      .describe("The name of the publication; `millrace_<source>` by default. It is made when it is missing."),
    backfill: backfillSchema
      .default("none")
      .describe(
        'What becomes of rows that a table has when the source first reads it: "none", or "initial": they are copied once beside the stream, as op `read` (docs/connectors/postgres.md). An item of `tables` may say it for its own tables.',
      ),
    onGap: z
      .enum(["stop", "continue", "backfill"])
      .default("stop")
      .describe(
        'When the database no longer holds what comes next: "stop" the source and say why; "continue" behind the gap, with a `gap` marker that names it in the stream; or "backfill": continue, and copy what the gap covers (docs/operations/slot-lost.md). `run --adopt` continues once.',
      ),
    guard: guardSchema.prefault({}).describe("From where on the guard warns: docs/operations/guard.md."),
    timeout: z
      .string()
      .default("30s")
      .transform((text, context): number => {
        const ms = parseDuration(text);
        if (ms !== undefined && ms >= 300 && ms <= 3_600_000) return Math.round(ms);
        context.addIssue({ code: "custom", message: 'expected a duration like "30s", from 300ms to 1h' });
        return z.NEVER;
      })
      .describe(
        "After how long without a sign of life the server gives up on this worker (`wal_sender_timeout` of the session); this worker gives up on the server after twice that time.",
      ),
    maxRowBytes: z
      .int()
      .min(1024 * 1024)
      .max(1024 * 1024 * 1024)
      .default(32 * 1024 * 1024)
      .describe(
        "The largest row that is read, in bytes as the log has it (with REPLICA IDENTITY FULL the old and the new one together). A larger one is never held in memory: its beginning becomes a dead letter, and a `poison` marker stands in its place.",
      ),
    messages: z
      .array(
        z.string().refine((prefix) => prefix !== "" && !prefix.startsWith("millrace."), {
          error: "expected prefixes that do not begin with millrace., which are Millrace's own",
        }),
      )
      .default([])
      .describe(
        "The prefixes of the logical messages (`pg_logical_emit_message`) that become events `meta.<source>.message.<prefix>`; all others are dropped.",
      ),
    outbox: z
      .union([z.boolean().transform((on) => (on ? outboxSchema.parse({}) : undefined)), outboxSchema])
      .prefault(false)
      .describe(
        'Whether this source carries the outbox of its database (docs/outbox.md): true, or { mode: "table" or "message", keep: "7d" (rows that the application left in the table are deleted after that time), table: "schema.table" }. Messages are read in the mode "message" alone, for any role may write them (docs/security.md); rows of millrace.outbox in every mode.',
      ),
  })
  .superRefine(({ tables, maskKey, slot, onGap, outbox, messages }, context) => {
    const refuse = (path: readonly string[], message: string): void =>
      context.addIssue({ code: "custom", path: [...path], message });
    if (outbox === undefined && messages.length === 0 && tables.every(({ excludes }) => excludes)) {
      refuse(["tables"], 'expected a pattern that names tables, like "public.*", beside those that leave out');
    }
    if (maskKey === undefined && needsMaskKey(tables)) refuse(["maskKey"], 'masks by "hash" need a key');
    if (slot?.full?.action === "drop-and-gap" && onGap === "stop") {
      refuse(
        ["slot", "onFull"],
        '"drop-and-gap" needs onGap: "continue" or "backfill", for the source must go on behind the gap',
      );
    }
  })
  .transform(({ timeout, tables, maskKey, slot, backfill, ...config }) => {
    const { outbox } = config;
    const items = outbox === undefined ? tables : [...tables, ...outboxPatterns(outbox.table)];
    return {
      ...config,
      tables: items,
      rulesOf: tableRules(items, maskKey, backfill),
      copies: backfill === "initial" || tables.some(({ options }) => options?.backfill === "initial"),
      slot: slot?.name,
      full: slot?.full,
      timeoutMs: timeout,
    };
  });

/** @throws ConfigError CONFIG_INVALID, CONFIG_UNKNOWN_KEY with the path of the bad value */
export function parsePostgresConfig(input: unknown, path: string): PostgresConfig {
  return parseConfig(postgresSchema, input, path);
}
