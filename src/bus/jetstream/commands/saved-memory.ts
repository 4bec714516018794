// What sources have on record on the bus, for commands that only read.

import type { SourceId } from "../../../event/source-id.ts";
import { silentLogger } from "../../../telemetry/logger.ts";
import type { BusAccess } from "../client/access.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { Connection } from "../client/connection.ts";
import { openStateStore } from "../client/state-store.ts";
import { timeLimit } from "../client/time-limit.ts";
import { SourceMemory } from "../lease/source-memory.ts";

export type SavedMemory = Readonly<Record<string, unknown>> | undefined;

export interface SavedMemoryOptions extends BusAccess {
  readonly sources: readonly SourceId[];
  readonly signal: AbortSignal;
}

const CONNECT_MS = 5000;

/** Changes nothing. @throws ConfigError, TransientError, or the signal's reason when the bus is away */
export async function readSavedMemory(options: SavedMemoryOptions): Promise<ReadonlyMap<SourceId, SavedMemory>> {
  const { sources } = options;
  using limit = timeLimit(options.signal, CONNECT_MS);
  await using connection = await Connection.open({ ...options, log: silentLogger, signal: limit.signal });
  const state = await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas: 1 });
  const saved = sources.map(async (source) => [source, await new SourceMemory(state, source).load()] as const);
  return new Map(await Promise.all(saved));
}
