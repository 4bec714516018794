// A KV bucket: small state by key, written by revision.

import { jetstreamManager, type StreamAPI } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import type { StateStore } from "../../state-store.ts";
import { apiCodes } from "./api-codes.ts";
import { asked, orNothing } from "./bus-errors.ts";

export interface StateStoreOptions {
  readonly bucket: string;
  readonly replicas: number;
  /** Entries not written for this long disappear; unset, they stay. */
  readonly ttlMs?: number;
}

/**
 * A bucket is made with its first entry, so that a start that is refused leaves nothing behind; until then it is empty.
 * All methods reject with TransientError or ConfigError.
 */
export async function openStateStore(nc: NatsConnection, options: StateStoreOptions): Promise<StateStore> {
  const { bucket, replicas, ttlMs } = options;
  // Direct get off: a lagging replica must never answer.
  const settings = { history: 1, allow_direct: false, replicas, ...(ttlMs === undefined ? {} : { ttl: ttlMs }) };
  const kvm = new Kvm(nc);
  const kv = await kvm.open(bucket, { allow_direct: false }); // asks the server nothing
  const { streams } = await jetstreamManager(nc, { checkAPI: false });
  let made = false;
  return {
    get: (key) => get(kv, key),
    put: async (key, value, revision) => {
      if (!made) await asked(`make the bucket ${bucket}`, () => kvm.create(bucket, settings));
      const stored = await put(kv, key, value, revision).catch((error: unknown) => {
        made = false; // somebody may have deleted it
        throw error;
      });
      made = true;
      return stored;
    },
    // A purge and not a marker: keys are many and short-lived, markers would stay for ever.
    delete: async (key) => {
      await asked("delete state", () => streams.purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${key}` }));
    },
    keys: (prefix) => keys(streams, bucket, prefix),
  };
}

/** By the server's list of subjects: a read of the bucket would make a consumer for it. */
async function keys(streams: StreamAPI, bucket: string, prefix: string): Promise<readonly string[]> {
  const head = `$KV.${bucket}.`;
  const listed = streams.info(`KV_${bucket}`, { subjects_filter: `${head}${prefix}>` });
  const found = await asked("list state", () => orNothing(listed, apiCodes.streamNotFound));
  return Object.keys(found?.state.subjects ?? {}).map((subject) => subject.slice(head.length));
}

async function get(kv: KV, key: string): Promise<{ value: unknown; revision: number } | undefined> {
  return asked("read state", async () => {
    const entry = await orNothing(kv.get(key), apiCodes.streamNotFound);
    return entry?.operation === "PUT" ? { value: entry.json(), revision: entry.revision } : undefined;
  });
}

function put(kv: KV, key: string, value: unknown, revision: number): Promise<number | undefined> {
  const data = JSON.stringify(value);
  // `create` also replaces the marker that a deletion by hand leaves.
  const stored = revision === 0 ? kv.create(key, data) : kv.update(key, data, revision);
  return asked("write state", () => orNothing(stored, apiCodes.wrongLastSequence, apiCodes.wrongLastSequenceUnknown));
}
