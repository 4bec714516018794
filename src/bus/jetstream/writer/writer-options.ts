// What a writer is made of, and how patient it is.

import type { Logger } from "../../../telemetry/logger.ts";
import type { WriterListener } from "../../source-stream.ts";
import type { CheckpointStore } from "../lease/checkpoint-store.ts";
import type { StoredConnectorState } from "../lease/connector-state.ts";
import type { Fsync } from "../lease/horizon.ts";
import type { HeldStream, StreamParts } from "../recovery/establish.ts";

/** Times that tests shorten. */
export interface WriterTiming {
  /** Without a renewal for this long another worker may take the lease. */
  readonly leaseTtlMs: number;
  /** The marker is renewed between transactions when it is older than this. */
  readonly markerEveryMs: number;
  /** The bus away for longer than this: the source is closed until it is back. */
  readonly maxAwayMs: number;
  /** How often an idle stream is looked at for lost messages. */
  readonly idleCheckMs: number;
}

export const defaultWriterTiming: WriterTiming = {
  leaseTtlMs: 3000,
  markerEveryMs: 5 * 60_000,
  maxAwayMs: 5 * 60_000,
  idleCheckMs: 30_000,
};

/** What a writer is given, but for the stream and its lease. */
export interface WriterParts extends StreamParts, WriterTiming {
  readonly fsync: Fsync;
  readonly log: Logger;
  readonly on: WriterListener;
}

export interface WriterOptions extends HeldStream, WriterParts {
  readonly checkpoints: CheckpointStore;
  readonly memory: Pick<StoredConnectorState, "keep">;
}
