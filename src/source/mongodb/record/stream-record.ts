// What a MongoDB source must not forget: where its stream begins, of which cluster, and by which settings it was read last.

import { createHash } from "node:crypto";
import { z } from "zod";
import { BugError, HistoryLostError } from "../../../errors.ts";
import { comparePositions, type Position } from "../../../event/position.ts";
import type { ConnectorState } from "../../source.ts";
import type { Place } from "../client/position.ts";
import type { ServerFacts } from "../facts/server-facts.ts";
import type { MongoConfig } from "../options/config.ts";
import { streamSettings } from "../options/stream-settings.ts";

const schema = z.object({
  kind: z.literal("mongodb"),
  history: z.int(),
  start: z.object({ t: z.int(), i: z.int() }),
  /** The replica set's name; undefined behind mongos. */
  setName: z.string().optional(),
  /** Undefined where it could not be asked. */
  clusterId: z.string().optional(),
  /** Why the history before this one ended; undefined of the first. */
  lost: z.object({ code: z.string(), reason: z.string() }).optional(),
  /** What the change stream was made of when it was read last. */
  read: z.object({
    databases: z.array(z.string()),
    settings: z.string(),
    /** Tokens up to here are of streams with other settings. */
    since: z.string().optional(),
  }),
});

export type StreamRecord = z.infer<typeof schema>;

/** A history that is on record. */
export interface Begun {
  readonly record: StreamRecord;
  readonly lost: StreamRecord["lost"];
  readonly start: Place;
  readonly sharded: boolean;
}

const FIRST_HISTORY = 1;

/** The record of a history that begins at the time of now; with a gap before it where it follows another. */
export function beginRecord(
  { setName, clusterId, operationTime }: Pick<ServerFacts, "setName" | "clusterId" | "operationTime">,
  config: MongoConfig,
  after?: { readonly history: number; readonly lost: HistoryLostError },
): StreamRecord {
  if (operationTime === undefined) throw new BugError("NO_OPERATION_TIME", "a server without one was to be refused");
  return {
    kind: "mongodb",
    history: after === undefined ? FIRST_HISTORY : after.history + 1,
    start: { t: operationTime.t, i: operationTime.i },
    setName,
    clusterId,
    lost: after && { code: after.lost.code, reason: after.lost.message },
    read: { databases: [...config.databases], settings: digestOf(config) },
  };
}

/** The record of a reading that goes on behind `from`: the same one where that is done by the settings that it names. */
export function recordReading(record: StreamRecord, config: MongoConfig, from: Position | undefined): StreamRecord {
  const settings = digestOf(config);
  if (record.read.settings === settings) return record;
  return { ...record, read: { databases: [...config.databases], settings, since: from } };
}

/** Whether the token of a position was given by a stream of the settings on record. */
export function isOwnToken({ read: { since } }: StreamRecord, position: Position): boolean {
  return since === undefined || comparePositions(position, since as Position) > 0;
}

function digestOf(config: MongoConfig): string {
  return createHash("sha256")
    .update(JSON.stringify(streamSettings(config)))
    .digest("base64url")
    .slice(0, 16);
}

export function begunOf(record: StreamRecord): Begun {
  return {
    record,
    lost: record.lost,
    sharded: record.setName === undefined,
    start: { history: record.history, time: record.start, ordinal: 0, idle: 0, token: undefined },
  };
}

export function readRecord(saved: Readonly<Record<string, unknown>> | undefined): StreamRecord | undefined {
  return saved === undefined ? undefined : schema.parse(saved);
}

export async function loadRecord(state: ConnectorState): Promise<StreamRecord | undefined> {
  return readRecord(await state.load());
}

/**
 * @throws HistoryLostError SOURCE_OTHER_CLUSTER, SOURCE_OTHER_DATABASE when the record is about another cluster than the
 *   server's, or about no database of those that are read now
 */
export function checkCluster(
  record: StreamRecord,
  server: Pick<ServerFacts, "setName" | "clusterId">,
  { databases }: Pick<MongoConfig, "databases">,
): void {
  const otherId =
    record.clusterId !== undefined && server.clusterId !== undefined && record.clusterId !== server.clusterId;
  if (record.setName === server.setName && !otherId) {
    checkDatabases(record, databases);
    return;
  }
  throw new HistoryLostError(
    "SOURCE_OTHER_CLUSTER",
    `the server is ${nameOf(server)}, but the stream comes from ${nameOf(record)}`,
    {
      foreign: true,
      hint: "Is it a copied configuration? Then give the source another id, or use another bus or NATS account. Was the cluster restored from a dump? Then run --adopt starts over from now and records the gap.",
    },
  );
}

function checkDatabases({ read }: StreamRecord, databases: readonly string[]): void {
  if (databases.some((name) => read.databases.includes(name))) return;
  throw new HistoryLostError(
    "SOURCE_OTHER_DATABASE",
    `the source is to read ${databases.join(", ")}, but the stream comes from ${read.databases.join(", ")}`,
    {
      foreign: true,
      hint: "Give the source of another database another id. Was the database renamed? Then run --adopt starts over from now and records the gap.",
    },
  );
}

function nameOf({ setName, clusterId }: Pick<StreamRecord, "setName" | "clusterId">): string {
  const name = setName === undefined ? "a sharded cluster" : `the replica set ${setName}`;
  return clusterId === undefined ? name : `${name} (${clusterId})`;
}
