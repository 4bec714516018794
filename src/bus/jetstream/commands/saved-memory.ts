// What sources have on record on the bus, for commands that only read.

import type { SourceId } from "../../../event/source-id.ts";
import type { BusAccess } from "../client/access.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { connectOnce } from "../client/connect-once.ts";
import { openStateStore } from "../client/state-store.ts";
import { StoredConnectorState } from "../lease/connector-state.ts";

export type SavedMemory = Readonly<Record<string, unknown>> | undefined;

export interface SavedMemoryOptions extends BusAccess {
  readonly sources: readonly SourceId[];
  readonly signal: AbortSignal;
}

/** Changes nothing. @throws ConfigError, TransientError, or the signal's reason */
export async function readSavedMemory(options: SavedMemoryOptions): Promise<ReadonlyMap<SourceId, SavedMemory>> {
  const { sources } = options;
  await using connection = await connectOnce(options, options.signal);
  const state = await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas: 1 });
  const saved = sources.map(async (source) => [source, await new StoredConnectorState(state, source).load()] as const);
  return new Map(await Promise.all(saved));
}
