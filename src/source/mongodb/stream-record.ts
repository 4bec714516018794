// What a MongoDB source must not forget: where its stream begins, and of which cluster.

import { z } from "zod";
import { BugError, HistoryLostError } from "../../errors.ts";
import type { ConnectorState } from "../source.ts";
import type { Place } from "./client/position.ts";
import type { ServerFacts } from "./facts/server-facts.ts";

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
  };
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

/** @throws HistoryLostError SOURCE_OTHER_CLUSTER when the record is about another cluster than the server's */
export function checkCluster(record: StreamRecord, server: Pick<ServerFacts, "setName" | "clusterId">): void {
  const otherId =
    record.clusterId !== undefined && server.clusterId !== undefined && record.clusterId !== server.clusterId;
  if (record.setName === server.setName && !otherId) return;
  throw new HistoryLostError(
    "SOURCE_OTHER_CLUSTER",
    `the server is ${nameOf(server)}, but the stream comes from ${nameOf(record)}`,
    {
      foreign: true,
      hint: "Is it a copied configuration? Then give the source another id, or use another bus or NATS account. Was the cluster restored from a dump? Then run --adopt starts over from now and records the gap.",
    },
  );
}

function nameOf({ setName, clusterId }: Pick<StreamRecord, "setName" | "clusterId">): string {
  const name = setName === undefined ? "a sharded cluster" : `the replica set ${setName}`;
  return clusterId === undefined ? name : `${name} (${clusterId})`;
}
