// A KV bucket: small state by key, written by revision.

import { jetstreamManager } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import type { StateStore } from "../bus.ts";
import { apiCodes } from "./api-codes.ts";
import { busError, isApiError } from "./bus-errors.ts";

export interface StateStoreOptions {
  readonly bucket: string;
  readonly replicas: number;
  /** Entries not written for this long disappear; unset, they stay. */
  readonly ttlMs?: number;
}

/**
 * Opens the bucket and makes it when it is missing.
 * @throws TransientError, ConfigError
 */
export async function openStateStore(nc: NatsConnection, options: StateStoreOptions): Promise<StateStore> {
  const { bucket, replicas, ttlMs } = options;
  try {
    // Direct get off: a lagging replica must never answer.
    const ttl = ttlMs === undefined ? {} : { ttl: ttlMs };
    const kv = await new Kvm(nc).create(bucket, { history: 1, allow_direct: false, replicas, ...ttl });
    const { streams } = await jetstreamManager(nc, { checkAPI: false });
    return {
      get: (key) => get(kv, key),
      put: (key, value, revision) => put(kv, key, value, revision),
      // A purge and not a marker: keys are many and short-lived, markers would stay for ever.
      delete: (key) =>
        streams.purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${key}` }).then(
          () => undefined,
          (error: unknown) => Promise.reject(busError(error, "delete state")),
        ),
    };
  } catch (error) {
    throw busError(error, `open the bucket ${bucket}`);
  }
}

async function get(kv: KV, key: string): Promise<{ value: unknown; revision: number } | undefined> {
  try {
    const entry = await kv.get(key);
    return entry?.operation === "PUT" ? { value: entry.json(), revision: entry.revision } : undefined;
  } catch (error) {
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
