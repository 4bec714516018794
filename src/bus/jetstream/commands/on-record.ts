// What the bus holds of sources, for commands that only read: how far each is, and what it must not forget.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { laterPositions, type Positions, positionsAt, positionsFrom } from "../../../event/positions.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { BusAccess } from "../client/access.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { busError } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { Connection } from "../client/connection.ts";
import { openStateStore } from "../client/state-store.ts";
import { findStream } from "../client/streams.ts";
import { CheckpointStore, withIdle } from "../lease/checkpoint-store.ts";
import { StoredConnectorState } from "../lease/connector-state.ts";
import { readMessage } from "../stream/jetstream-port.ts";
import { placeOf } from "../stream/own-markers.ts";

/**
 * How far a source is: its stream's newest place, or the one of an idle source that a save holds. Asks again and again over
 * one connection.
 */
export interface StoredPosition extends AsyncDisposable {
  /** All up to here is stored, though the bus may not have synced it; undefined before the first event. @throws TransientError */
  look(): Promise<Positions | undefined>;
}

/** Connects. @throws ConfigError, TransientError */
export async function openStoredPosition(
  source: SourceId,
  options: BusAccess & { readonly log: Logger; readonly signal: AbortSignal },
): Promise<StoredPosition> {
  const connection = await Connection.open(options);
  const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
  const checkpoints = new CheckpointStore(
    await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas: 1 }),
    source,
  );
  return {
    look: () => stored(jsm, checkpoints, source),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

/** The same of several sources, once. @throws ConfigError, TransientError, or the signal's reason */
export async function readStoredPositions(
  sources: readonly SourceId[],
  access: BusAccess,
  signal: AbortSignal,
): Promise<ReadonlyMap<SourceId, Positions | undefined>> {
  await using connection = await connectOnce(access, signal);
  const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
  const state = await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas: 1 });
  const positions = sources.map(
    async (source) => [source, await stored(jsm, new CheckpointStore(state, source), source)] as const,
  );
  return new Map(await Promise.all(positions));
}

async function stored(
  jsm: JetStreamManager,
  checkpoints: CheckpointStore,
  source: SourceId,
): Promise<Positions | undefined> {
  try {
    const stream = await findStream(jsm, source);
    if (stream === undefined) return undefined;
    const { checkpoint, idle } = await checkpoints.load();
    const saved = checkpoint?.streamCreated === stream.created ? positionsFrom(checkpoint.position) : undefined;
    return withIdle(laterPositions(saved, await tail(jsm, source)), stream.created, idle);
  } catch (thrown) {
    throw busError(thrown, `read how far ${source} is`);
  }
}

async function tail(jsm: JetStreamManager, source: SourceId): Promise<Positions | undefined> {
  let newest: Positions | undefined;
  for (const kind of ["cdc", "events", "meta"]) {
    const message = await readMessage(jsm, streamName(source), { last_by_subj: `${kind}.${source}.>` });
    const place = message && placeOf(source, message);
    newest = laterPositions(newest, place && positionsAt(place));
  }
  return newest;
}

export type SavedMemory = Readonly<Record<string, unknown>> | undefined;

/** What they must not forget. @throws ConfigError, TransientError, or the signal's reason */
export async function readSavedMemory(
  sources: readonly SourceId[],
  access: BusAccess,
  signal: AbortSignal,
): Promise<ReadonlyMap<SourceId, SavedMemory>> {
  await using connection = await connectOnce(access, signal);
  const state = await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas: 1 });
  const saved = sources.map(async (source) => [source, await new StoredConnectorState(state, source).load()] as const);
  return new Map(await Promise.all(saved));
}
