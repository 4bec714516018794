// What the bus holds of copies of existing rows, for who steers them: with a worker that runs, and without.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import type { StateStore } from "../../state-store.ts";
import type { BusAccess } from "../client/access.ts";
import { apiCodes } from "../client/api-codes.ts";
import { LEASE_BUCKET, STATE_BUCKET } from "../client/buckets.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { openStateStore } from "../client/state-store.ts";
import { findStream } from "../client/streams.ts";
import { CheckpointStore } from "../lease/checkpoint-store.ts";
import type { LeaseRecord } from "../lease/lease.ts";
import { streamReader } from "../stream/jetstream-port.ts";
import { newestGapData, progressOf } from "../stream/own-markers.ts";

/** What the newest marker of a source's copies says, or said before it left the stream. */
export interface ToldProgress {
  readonly value: Readonly<Record<string, unknown>>;
  /** When it was sent, RFC 3339, by the worker's clock; undefined of one that is not in the stream any more. */
  readonly at: string | undefined;
}

export interface BackfillOnBus extends AsyncDisposable {
  readonly state: StateStore;
  /** Undefined where the source's stream never had one. @throws TransientError */
  newest(source: SourceId): Promise<ToldProgress | undefined>;
  /** What the newest gap in the source's stream is; undefined where it has none. @throws TransientError */
  newestGap(source: SourceId): ReturnType<typeof newestGapData>;
  /** Whether a worker reads the source: it has renewed its lease lately. @throws TransientError */
  isRead(source: SourceId): Promise<boolean>;
}

/** Five times as long as a lease lasts. */
const READS_MS = 15_000;

/** Connects. @throws ConfigError, TransientError */
export async function openBackfillOnBus({
  signal,
  replicas,
  ...access
}: BusAccess & { readonly replicas: number; readonly signal: AbortSignal }): Promise<BackfillOnBus> {
  const connection = await connectOnce(access, signal);
  try {
    const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
    const state = await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas });
    return {
      state,
      newest: (source) => asked(`look how far the copy of ${source} is`, () => newest(jsm, state, source)),
      newestGap: (source) => asked(`look for a gap of ${source}`, () => newestGap(jsm, source)),
      isRead: (source) => asked(`look who reads ${source}`, () => isRead(jsm, source)),
      [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
    };
  } catch (thrown) {
    await connection[Symbol.asyncDispose]();
    throw thrown;
  }
}

/** As the worker knows it: retention takes the marker of a copy that is over, or rests, out of the stream, and the checkpoint has it. */
async function newest(jsm: JetStreamManager, state: StateStore, source: SourceId): Promise<ToldProgress | undefined> {
  const stream = await findStream(jsm, source);
  if (stream === undefined) return undefined;
  const marker = await streamReader(jsm, streamName(source)).readLast(metaSubject(source, "backfill"));
  const value = marker && progressOf(source, marker)?.value;
  if (value !== undefined) return { value, at: marker?.header("ce-time") };
  const { checkpoint } = await new CheckpointStore(state, source).load();
  const saved = checkpoint?.streamCreated === stream.created ? checkpoint.progress : undefined;
  return saved && { value: saved.value, at: undefined };
}

async function newestGap(jsm: JetStreamManager, source: SourceId): ReturnType<typeof newestGapData> {
  if ((await findStream(jsm, source)) === undefined) return undefined;
  return newestGapData(streamReader(jsm, streamName(source)), source);
}

/** Both times are the server's: the clock here may be another. */
async function isRead(jsm: JetStreamManager, source: SourceId): Promise<boolean> {
  const nothing = [apiCodes.noMessageFound, apiCodes.streamNotFound] as const;
  const bucket = `KV_${LEASE_BUCKET}`;
  const entry = await orNothing(
    jsm.streams.getMessage(bucket, { last_by_subj: `$KV.${LEASE_BUCKET}.${source}` }),
    ...nothing,
  );
  const now = (await orNothing(jsm.streams.info(bucket), ...nothing))?.ts;
  if (!entry || entry.data.length === 0) return false;
  const { instance } = entry.json<LeaseRecord>();
  const age = (now === undefined ? Date.now() : Date.parse(now)) - entry.time.getTime();
  return instance !== "" && age < READS_MS;
}
