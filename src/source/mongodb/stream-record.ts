// What a MongoDB source must not forget: where its stream begins, and of which cluster.

import { z } from "zod";
import { BugError, ConfigError } from "../../errors.ts";
import type { ConnectorState } from "../source.ts";
import type { Place } from "./client/position.ts";
import type { ServerFacts } from "./facts/server-facts.ts";

const schema = z.object({
  kind: z.literal("mongodb"),
  history: z.int(),
  start: z.object({ t: z.int(), i: z.int() }),
  /** The replica set's name; undefined behind mongos. */
  setName: z.string().optional(),
});

export type StreamRecord = z.infer<typeof schema>;

/** A history that is on record. */
export interface Begun {
  readonly record: StreamRecord;
  readonly start: Place;
}

const FIRST_HISTORY = 1;

/** The record of a first start: the stream begins at the time of now. */
export function beginRecord({ setName, operationTime }: ServerFacts): StreamRecord {
  if (operationTime === undefined) throw new BugError("NO_OPERATION_TIME", "a server without one was to be refused");
  const start = { t: operationTime.t, i: operationTime.i };
  return { kind: "mongodb", history: FIRST_HISTORY, start, ...(setName === undefined ? {} : { setName }) };
}

export function begunOf(record: StreamRecord): Begun {
  return { record, start: { history: record.history, time: record.start, ordinal: 0, idle: 0, token: undefined } };
}

export function readRecord(saved: Readonly<Record<string, unknown>> | undefined): StreamRecord | undefined {
  return saved === undefined ? undefined : schema.parse(saved);
}

export async function loadRecord(state: ConnectorState): Promise<StreamRecord | undefined> {
  return readRecord(await state.load());
}

/** @throws ConfigError SOURCE_OTHER_CLUSTER when the record is about another cluster than the server's */
export function checkCluster({ setName }: StreamRecord, server: Pick<ServerFacts, "setName">): void {
  if (setName === server.setName) return;
  throw new ConfigError(
    "SOURCE_OTHER_CLUSTER",
    `the server is of ${nameOf(server.setName)}, but the source was read from ${nameOf(setName)}`,
    { hint: "Name the server that this source was read from, or give the source another id." },
  );
}

function nameOf(setName: string | undefined): string {
  return setName === undefined ? "a sharded cluster" : `the replica set ${setName}`;
}
