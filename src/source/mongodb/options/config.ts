// The options of a MongoDB source: what may be written, and what they default to.

import { z } from "zod";
import { parseConfig } from "../../../config/parse.ts";
import { collectionFilter, isExclusion } from "./collection-pattern.ts";
import { type GuardLimits, guardSchema } from "./guard-config.ts";

export interface MongoConfig {
  /** May hold a password: never printed. */
  readonly url: string;
  readonly databases: readonly string[];
  readonly collections: readonly string[];
  readonly images: { readonly before: "stored" | "none"; readonly after: "lookup" | "stored" | "none" };
  readonly encoding: "json" | "ejson";
  /** Whether documents that a collection has when the source first reads it are copied once. */
  /** Patterns of the collections whose documents are copied once. */
  readonly backfill: readonly string[];
  readonly onGap: "stop" | "continue" | "backfill";
  readonly guard: GuardLimits;
  /** Undefined: the source carries none. */
  readonly outbox?: { readonly collection: string } | undefined;
}

const name = z.string().regex(/^[^/\\. "$*<>:|?\0]{1,63}$/, { error: "expected the name of a database" });

export const mongoSchema: z.ZodType<MongoConfig> = z
  .strictObject({
    url: z
      .string()
      .regex(/^mongodb(\+srv)?:\/\//, { error: "expected mongodb:// or mongodb+srv://" })
      .describe("Where the replica set or the sharded cluster is: `mongodb://user@host:27017/?replicaSet=rs0`."),
    database: name.optional().describe("The database to read."),
    databases: z.array(name).min(1).optional().describe("Instead of one database several, read as one stream."),
    collections: z
      .array(z.string().min(1))
      .min(1)
      .default(["*"])
      .refine((patterns) => !patterns.every(isExclusion), {
        error: 'expected a pattern that names collections, like "*", beside those that leave out',
      })
      .describe("The collections to read: `*` stands for any letters, a leading `!` leaves collections out."),
    images: z
      .strictObject({
        before: z.enum(["stored", "none"]).default("none"),
        after: z.enum(["lookup", "stored", "none"]).default("lookup"),
      })
      .prefault({})
      .describe(
        'The documents before and after an update or delete: "stored" needs changeStreamPreAndPostImages on the collection, "lookup" is the document as it is when the event is read.',
      ),
    encoding: z
      .enum(["json", "ejson"])
      .default("json")
      .describe('"json", or "ejson": canonical Extended JSON, which keeps each type.'),
    backfill: z
      .union([z.enum(["initial", "none"]), z.strictObject({ initial: z.array(z.string().min(1)).min(1) })], {
        error: 'expected "initial", "none", or { initial: ["collection"] }',
      })
      .prefault("none")
      .transform((copied) => (copied === "none" ? [] : copied === "initial" ? ["*"] : copied.initial))
      .describe(
        'What becomes of documents that a collection has when the source first reads it: "none", or "initial": they are copied once beside the stream, as op `read`; `{ initial: ["orders", "!orders_old"] }` names those of which they are (docs/connectors/mongodb.md#copying-documents-that-are-there).',
      ),
    onGap: z
      .enum(["stop", "continue", "backfill"])
      .default("stop")
      .describe(
        'When the oplog no longer holds what comes next: "stop"; "continue" behind a recorded gap; or "backfill": continue, and copy what the gap covers (docs/operations/oplog-lost.md).',
      ),
    outbox: z
      .strictObject(
        {
          collection: z
            .string()
            .regex(/^(?!system\.)[^$\0]+$/s, {
              error: 'expected the name of a collection, like "outbox": without $, and none of the server\'s own',
            })
            .describe("Its name, in each database of the source; without the database's."),
        },
        { error: 'expected { collection: "outbox" }' },
      )
      .optional()
      .describe(
        "The collection that the application writes its domain events to, in the transaction that makes them true (docs/outbox.md). What is inserted there becomes `events.<source>...`; it is read whatever `collections` names, and never as changes.",
      ),
    guard: guardSchema.prefault({}).describe("From where on the guard warns: docs/operations/guard.md."),
  })
  .transform(({ database, databases, ...config }, context): MongoConfig => {
    if ((database === undefined) === (databases === undefined)) {
      context.addIssue({ code: "custom", path: ["database"], message: "expected either database or databases" });
      return z.NEVER;
    }
    const all = databases ?? [database as string];
    const fault = config.outbox && outboxFault(config.outbox.collection, all, config.collections);
    if (fault !== undefined) {
      context.addIssue({ code: "custom", path: ["outbox", "collection"], message: fault });
      return z.NEVER;
    }
    return { ...config, databases: all };
  });

/** What is wrong with the outbox's name beside the other options; undefined when nothing is. */
function outboxFault(name: string, databases: readonly string[], patterns: readonly string[]): string | undefined {
  const database = databases.find((one) => name.startsWith(`${one}.`));
  if (database !== undefined) {
    const bare = name.slice(database.length + 1);
    return `expected the collection's name without its database: ${JSON.stringify(bare)}`;
  }
  const excludes = patterns.find((one) => isExclusion(one) && collectionFilter([one.slice(1)])(name));
  if (excludes === undefined) return undefined;
  return `${JSON.stringify(excludes)} of collections leaves it out: take that away, for an outbox is never read as changes`;
}

/** @throws ConfigError CONFIG_INVALID, CONFIG_UNKNOWN_KEY with the path of the bad value */
export function parseMongoConfig(input: unknown, path: string): MongoConfig {
  return parseConfig(mongoSchema, input, path);
}
