// What must hold of the outbox, and what is said of it by `millrace check` and `millrace sql outbox`.

import { ConfigError } from "../../../errors.ts";
import { about, type Finding } from "../../../telemetry/finding.ts";
import type { MongoConfig } from "../options/config.ts";

type Outbox = Pick<MongoConfig, "databases" | "outbox">;

/** When an event's document may go: it is in the stream long before. */
const KEEP_SECONDS = 7 * 86_400;

/** Why a source cannot have its outbox. @param found the databases that have it */
export function outboxRefusal({ databases, outbox }: Outbox, found: readonly string[]): ConfigError | undefined {
  if (outbox === undefined || found.length > 0) return undefined;
  const { collection } = outbox;
  return new ConfigError(
    "OUTBOX_NOT_FOUND",
    `there is no collection ${collection} for the outbox in ${databases.join(", ")}`,
    { hint: `Correct outbox.collection, or make it first: ${makeOutbox(databases[0] ?? "", collection)}` },
  );
}

/** @param expires whether its documents go by themselves; undefined where it could not be asked */
export function outboxFinding(database: string, collection: string, expires: boolean | undefined): Finding {
  const { ok, warn } = about(`outbox ${database}.${collection}`);
  if (expires !== false) return ok("OUTBOX", "what is inserted becomes domain events");
  return warn(
    "OUTBOX_GROWS",
    "nothing takes its documents away: they are in the stream, and stay in the database for ever",
    `In mongosh: ${expireOutbox(database, collection)}`,
  );
}

/** What makes the outbox in each database of a source, and lets its documents expire: text for mongosh. */
export function outboxText({ databases, outbox }: Outbox): readonly string[] {
  if (outbox === undefined) return ['// the source has no outbox: set its option outbox: { collection: "outbox" }'];
  const { collection } = outbox;
  return databases.flatMap((database) => [
    `${makeOutbox(database, collection)};`,
    `${expireOutbox(database, collection)}; // a week; events are in the stream long before`,
    "// whoever emits needs insert on it:",
    `// { resource: { db: ${JSON.stringify(database)}, collection: ${JSON.stringify(collection)} }, actions: ["insert"] }`,
  ]);
}

function makeOutbox(database: string, collection: string): string {
  return `db.getSiblingDB(${JSON.stringify(database)}).createCollection(${JSON.stringify(collection)})`;
}

function expireOutbox(database: string, collection: string): string {
  const place = `db.getSiblingDB(${JSON.stringify(database)}).getCollection(${JSON.stringify(collection)})`;
  return `${place}.createIndex({ created_at: 1 }, { expireAfterSeconds: ${KEEP_SECONDS} })`;
}
