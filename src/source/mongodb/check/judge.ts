// What must hold before a source is read, judged by what was read of the server: `check` shows it, and a start is refused by it.

import { ConfigError, type MillraceError } from "../../../errors.ts";
import type { CollectionFacts } from "../facts/collection-facts.ts";
import type { MongoFacts } from "../facts/facts.ts";
import type { ServerFacts } from "../facts/server-facts.ts";
import { collectionFilter, isExclusion } from "../options/collection-pattern.ts";
import type { MongoConfig } from "../options/config.ts";
import { outboxRefusal } from "./outbox.ts";

/** Something that does not hold: a start is refused with its error. */
export interface Problem {
  readonly subject: string;
  readonly error: MillraceError;
}

const MIN_MAJOR = 6;

/** What does not hold, the first cause first; empty when a source can be read. */
export function problemsOf(
  { server, refusal, collections, outboxes }: MongoFacts,
  config: MongoConfig,
): readonly Problem[] {
  const broken = serverProblem(server);
  if (broken !== undefined) return [{ subject: "server", error: broken }];
  if (refusal !== undefined) return [{ subject: "change stream", error: refusal }];
  return [
    ...unmatched(config, collections ?? []),
    ...withoutOutbox(config, outboxes),
    ...withoutImages(config, collections ?? []),
  ];
}

function serverProblem({ flavour, version, versionNumbers, topology }: ServerFacts): ConfigError | undefined {
  if (flavour !== "mongodb") {
    const name = flavour === "documentdb" ? "Amazon DocumentDB" : "Azure Cosmos DB";
    return new ConfigError(
      "SERVER_UNSUPPORTED",
      `the server is ${name}, whose change streams leave out what Millrace needs`,
      {
        hint: "Use MongoDB 6.0 or newer: a replica set or a sharded cluster.",
      },
    );
  }
  if (versionNumbers[0] < MIN_MAJOR) {
    return new ConfigError("SERVER_TOO_OLD", `the server is MongoDB ${version}`, {
      hint: `Upgrade it: Millrace needs MongoDB ${MIN_MAJOR}.0 or newer.`,
    });
  }
  if (topology !== "single") return undefined;
  return new ConfigError("NO_REPLICA_SET", "the server is no member of a replica set, and has no change streams", {
    hint: "Start mongod with --replSet and run rs.initiate(); one member is enough.",
  });
}

/** Patterns that name one collection, which is not there. One with `*` waits for what comes. */
export function unmatched(
  { collections: patterns, databases, outbox }: Pick<MongoConfig, "collections" | "databases" | "outbox">,
  found: readonly Pick<CollectionFacts, "name">[],
): readonly Problem[] {
  return patterns
    .filter((pattern) => !isExclusion(pattern) && !pattern.includes("*") && pattern !== outbox?.collection)
    .filter((pattern) => !found.some(({ name }) => collectionFilter([pattern])(name)))
    .map((pattern) => ({
      subject: `collection ${pattern}`,
      error: new ConfigError("COLLECTION_NOT_FOUND", `there is no collection ${pattern} in ${databases.join(", ")}`, {
        hint: `Correct the name, or make it first: db.createCollection(${JSON.stringify(pattern)}). A pattern with * needs none yet.`,
      }),
    }));
}

function withoutOutbox(config: MongoConfig, outboxes: readonly string[]): readonly Problem[] {
  const error = outboxRefusal(config, outboxes);
  return error === undefined ? [] : [{ subject: `collection ${config.outbox?.collection}`, error }];
}

/** Images that were asked for and that no collection stores. Where some do, the others' events say what they lack. */
function withoutImages(config: MongoConfig, found: readonly CollectionFacts[]): readonly Problem[] {
  if (found.some(({ images }) => images)) return [];
  return lackingImages(config, found).map(({ subject, message, fix }) => ({
    subject,
    error: new ConfigError("IMAGES_NOT_STORED", message, { hint: fix }),
  }));
}

/** Collections that store no images though the source asks for them. */
export function lackingImages(
  { images }: Pick<MongoConfig, "images">,
  found: readonly CollectionFacts[],
): readonly { readonly subject: string; readonly message: string; readonly fix: string }[] {
  const asked = (["before", "after"] as const).filter((side) => images[side] === "stored");
  if (asked.length === 0) return [];
  return found
    .filter((collection) => !collection.images)
    .map(({ namespace, name }) => ({
      subject: `collection ${namespace}.${name}`,
      message: `it stores no images, and ${asked.map((side) => `images.${side}`).join(" and ")} is "stored": its events lack them`,
      fix: `In mongosh: ${storeImages(namespace, name)}`,
    }));
}

/** What makes a collection store images: text for mongosh. */
export function storeImages(namespace: string, name: string): string {
  return `db.getSiblingDB(${JSON.stringify(namespace)}).runCommand({ collMod: ${JSON.stringify(name)}, changeStreamPreAndPostImages: { enabled: true } })`;
}
