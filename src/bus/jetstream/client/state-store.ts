// A KV bucket: small state by key, written by revision.

import { jetstreamManager, type StreamAPI } from "@nats-io/jetstream";
import { type KV, Kvm, type KvOptions } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import type { StateStore } from "../../bus.ts";
import { apiCodes } from "./api-codes.ts";
import { busError, isApiError } from "./bus-errors.ts";

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
      if (!made) await make(kvm, bucket, settings);
      try {
        const stored = await put(kv, key, value, revision);
        made = true;
        return stored;
      } catch (error) {
        made = false; // somebody may have deleted it
        throw error;
      }
    },
    // A purge and not a marker: keys are many and short-lived, markers would stay for ever.
    delete: (key) =>
      streams.purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${key}` }).then(
        () => undefined,
        (error: unknown) => Promise.reject(busError(error, "delete state")),
      ),
    keys: (prefix) => keys(streams, bucket, prefix),
  };
}

/** By the server's list of subjects: a read of the bucket would make a consumer for it. */
async function keys(streams: StreamAPI, bucket: string, prefix: string): Promise<readonly string[]> {
  const head = `$KV.${bucket}.`;
  try {
    const { state } = await streams.info(`KV_${bucket}`, { subjects_filter: `${head}${prefix}>` });
    return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(head.length));
  } catch (error) {
    if (isApiError(error, apiCodes.streamNotFound)) return [];
    throw busError(error, "list state");
  }
}

async function make(kvm: Kvm, bucket: string, settings: Partial<KvOptions>): Promise<void> {
  try {
    await kvm.create(bucket, settings);
  } catch (error) {
    throw busError(error, `make the bucket ${bucket}`);
  }
}

async function get(kv: KV, key: string): Promise<{ value: unknown; revision: number } | undefined> {
  try {
    const entry = await kv.get(key);
    return entry?.operation === "PUT" ? { value: entry.json(), revision: entry.revision } : undefined;
  } catch (error) {
    if (isApiError(error, apiCodes.streamNotFound)) return undefined;
    throw busError(error, "read state");
  }
}

async function put(kv: KV, key: string, value: unknown, revision: number): Promise<number | undefined> {
  const data = JSON.stringify(value);
  try {
    // `create` also replaces the marker that a deletion by hand leaves.
    return revision === 0 ? await kv.create(key, data) : await kv.update(key, data, revision);
  } catch (error) {
    if (isApiError(error, apiCodes.wrongLastSequence, apiCodes.wrongLastSequenceUnknown)) return undefined;
    throw busError(error, "write state");
  }
}
