// What a source's copy is given.

import type { Clock } from "../clock.ts";
import type { SourceId } from "../event/source-id.ts";
import type { RowCopier } from "../source/capabilities.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Order } from "./order.ts";
import type { Progress } from "./progress.ts";

export interface BackfillOptions {
  readonly source: SourceId;
  readonly copier: RowCopier;
  /** What is on record by now. @param stored how far the newest copy is @throws TransientError, ConfigError */
  readonly order: (stored: Progress | undefined) => Promise<Order | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Bytes that a message of the stream may have: a row that is larger cannot be copied. */
  readonly maxMessageBytes: number;
  /** Of one slice, and of one batch of it. */
  readonly maxRows?: number;
  readonly maxBatchRows?: number | undefined;
  /** Of what is handed out while a slice is read. */
  readonly maxNotedBytes?: number | undefined;
}
