// The options of a Postgres source: what may be written, and what they default to.

import { z } from "zod";
import { parseConfig } from "../../config/parse.ts";
import { parseDuration } from "../../event/duration.ts";
import { type TableItem, tableItemSchema } from "./table-options.ts";
import { needsMaskKey } from "./table-rules.ts";

export interface PostgresConfig {
  /** May hold a password: never printed. */
  readonly url: string;
  readonly tables: readonly TableItem[];
  /** A secret: never printed. */
  readonly maskKey?: string | undefined;
  /** Undefined means `millrace_<id>`. */
  readonly slot?: string | undefined;
  /** Undefined means `millrace_<id>`. */
  readonly publication?: string | undefined;
  /** What to do when the log was lost: "continue" starts over and records the gap. */
  readonly onGap: "stop" | "continue";
  readonly timeoutMs: number;
  readonly maxRowBytes: number;
}

export const postgresSchema: z.ZodType<PostgresConfig> = z
  .strictObject({
    url: z
      .string()
      .refine((text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text), {
        error: "expected a url like postgres://user@host:5432/database",
      })
      .describe("Where the database is, directly and not through a pooler: `postgres://user@host:5432/database`."),
    tables: z
      .array(tableItemSchema)
      .min(1, { error: "expected at least one table" })
      .prefault(["public.*"])
      .describe(
        'The tables to read, as "schema.table": `*` stands for any letters, a leading `!` leaves tables out, names in double quotes are taken as they are. An item may be an object `{ match, columns, mask }`: docs/connectors/postgres.md.',
      ),
    maskKey: z
      .string()
      .min(16, { error: "expected at least 16 letters" })
      .optional()
      .describe('The key of masks by "hash", from the environment alone: `env("MASK_KEY")`.'),
    slot: z
      .string()
      .regex(/^[a-z0-9_]{1,63}$/, { error: "expected up to 63 lower-case letters, digits or _" })
      .optional()
      .describe("The name of the replication slot; `millrace_<source>` by default."),
    publication: z
      .string()
      .regex(/^[^\0]{1,63}$/, { error: "expected up to 63 letters" })
      .optional()
      .describe("The name of the publication; `millrace_<source>` by default. It is made when it is missing."),
    onGap: z
      .enum(["stop", "continue"])
      .default("stop")
      .describe(
        'When the database no longer holds what comes next: "stop" the source and say why, or "continue" behind the gap, with a `gap` marker that names it in the stream. `run --adopt` continues once.',
      ),
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
  })
  .superRefine(({ tables, maskKey }, context) => {
    if (maskKey !== undefined || !needsMaskKey(tables)) return;
    context.addIssue({ code: "custom", path: ["maskKey"], message: 'masks by "hash" need a key' });
  })
  .transform(({ timeout, ...config }) => ({ ...config, timeoutMs: timeout }));

/** @throws ConfigError CONFIG_INVALID, CONFIG_UNKNOWN_KEY with the path of the bad value */
export function parsePostgresConfig(input: unknown, path: string): PostgresConfig {
  return parseConfig(postgresSchema, input, path);
}
