// What a writer is made of, and how patient it is.

import type { StreamMessage } from "../../../event/message.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { CheckpointStore } from "../lease/checkpoint-store.ts";
import type { Fsync } from "../lease/horizon.ts";
import type { EstablishOptions } from "../recovery/establish.ts";

export interface WriterOptions
  extends Omit<EstablishOptions, "highest" | "created" | "reason" | "checkpoint" | "idle" | "signal"> {
  readonly checkpoints: CheckpointStore;
  readonly fsync: Fsync;
  readonly log: Logger;
  /** The marker is renewed between transactions when it is older than this. */
  readonly markerEveryMs: number;
  /** The bus away for longer than this: the source is closed until it is back. */
  readonly maxAwayMs: number;
  /** How often an idle stream is looked at for lost messages. */
  readonly idleCheckMs: number;
  /** Called with what a stored batch holds. */
  readonly onStored: (messages: readonly Pick<StreamMessage, "committedAt" | "position">[]) => void;
  readonly onRecovered: () => void;
}
