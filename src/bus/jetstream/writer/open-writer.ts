// Opens the writer of a source's stream: takes the lease, finds out where the stream ends, and only then writes.

import { loggedPositions, plainPositions } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { StateStore } from "../../state-store.ts";
import { CheckpointStore } from "../lease/checkpoint-store.ts";
import type { StoredConnectorState } from "../lease/connector-state.ts";
import { Lease, type LeasePort } from "../lease/lease.ts";
import { underLease } from "../lease/upkeep.ts";
import { type Established, establish, newestLease } from "../recovery/establish.ts";
import type { StreamPort } from "../stream/port.ts";
import { JetStreamWriter } from "./writer.ts";
import type { WriterOptions, WriterParts } from "./writer-options.ts";

export interface OpenWriterOptions extends WriterParts {
  readonly leases: LeasePort;
  readonly state: Pick<StateStore, "get" | "put">;
  /** Is told the new lease: only its holder may save. Whatever the bus loses of it is saved again. */
  readonly memory: StoredConnectorState;
  /** Called under the lease, before the first write. */
  readonly prepare: () => Promise<void>;
  /** Called once the writer is done with the port. */
  readonly onClosed: () => Promise<void>;
  /** Ends the waiting and the start. */
  readonly signal: AbortSignal;
}

/** @throws FencedError, ConfigError, HistoryLostError; TransientError while the bus is away */
export async function openWriter(
  port: StreamPort,
  source: SourceId,
  options: OpenWriterOptions,
): Promise<JetStreamWriter> {
  const { log, clock, signal, memory, onClosed } = options;
  const checkpoints = new CheckpointStore(options.state, source);
  const lease = await acquire(port, source, checkpoints, options);
  log.info("lease_acquired", { source, lease: lease.number });
  const writerOptions: WriterOptions = { ...options, port, source, lease, checkpoints };
  const established = await underLease({ lease, clock, signal }, async (held) => {
    await options.prepare();
    return findEnd(writerOptions, held);
  });
  if (established.lost) log.error("bus_messages_lost", { source, ...established.lost });
  memory.begin(lease.number);
  return new JetStreamWriter(writerOptions, established, onClosed);
}

/** Waits for the lease, whose number is above all that anything was written under. */
function acquire(
  port: StreamPort,
  source: SourceId,
  checkpoints: CheckpointStore,
  { leases, clock, instance, leaseTtlMs, memory, log, on, signal }: OpenWriterOptions,
): Promise<Lease> {
  return Lease.acquire(
    {
      port: leases,
      clock,
      instance,
      ttlMs: leaseTtlMs,
      newestUsed: async () => {
        const { checkpoint, idle } = await checkpoints.load();
        const saved = Math.max(checkpoint?.lease ?? 0, idle?.lease ?? 0, await memory.savedBy());
        return Math.max(await newestLease(port, source), saved);
      },
      onWaiting: (holder) => {
        log.info("source_waiting_for_lease", { source, holder: holder.instance, lease: holder.number });
        on.waiting?.(holder.number);
      },
    },
    signal,
  );
}

async function findEnd(options: WriterOptions, signal: AbortSignal): Promise<Established> {
  const { log, source, on } = options;
  const saved = await options.checkpoints.load();
  const onReadBack = (messages: number): void => {
    const what = `up to ${messages} messages that no checkpoint covers are read back first, to know where the stream ends`;
    log.info("source_reading_back", { source, messages }, what);
    on.readingBack?.(what);
  };
  const start = { highest: 0, created: undefined, reason: "start", signal, onReadBack };
  const found = await establish({ ...options, ...start, ...saved });
  if (saved.checkpoint === undefined && found.tail !== undefined) {
    const what = "no checkpoint is saved, though the stream holds events: it goes on from the newest of them";
    log.warn(
      "checkpoint_missing",
      { source, from: found.resume && loggedPositions(plainPositions(found.resume)), code: "CHECKPOINT_MISSING" },
      what,
    );
  }
  return found;
}
