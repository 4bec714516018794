// The options of a MongoDB source: what may be written, and what they default to.

import { z } from "zod";
import { parseConfig } from "../../../config/parse.ts";
import { isExclusion } from "./collection-pattern.ts";
import { type GuardLimits, guardSchema } from "./guard-config.ts";

export interface MongoConfig {
  /** May hold a password: never printed. */
  readonly url: string;
  readonly databases: readonly string[];
  readonly collections: readonly string[];
  readonly images: { readonly before: "stored" | "none"; readonly after: "lookup" | "stored" | "none" };
  readonly encoding: "json" | "ejson";
  readonly onGap: "stop" | "continue";
  readonly guard: GuardLimits;
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
    onGap: z
      .enum(["stop", "continue"])
      .default("stop")
      .describe('When the oplog no longer holds what comes next: "stop", or "continue" behind a recorded gap.'),
    guard: guardSchema.prefault({}).describe("From where on the guard warns: docs/operations/guard.md."),
  })
  .transform(({ database, databases, ...config }, context): MongoConfig => {
    if ((database === undefined) === (databases === undefined)) {
      context.addIssue({ code: "custom", path: ["database"], message: "expected either database or databases" });
      return z.NEVER;
    }
    return { ...config, databases: databases ?? [database as string] };
  });

/** @throws ConfigError CONFIG_INVALID, CONFIG_UNKNOWN_KEY with the path of the bad value */
export function parseMongoConfig(input: unknown, path: string): MongoConfig {
  return parseConfig(mongoSchema, input, path);
}
