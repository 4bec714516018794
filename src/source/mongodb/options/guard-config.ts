// The options of the guard: from where on it warns.

import { z } from "zod";
import { durationSchema } from "../../../config/duration-schema.ts";

/** From where on each measure is worth a warning. */
export interface GuardLimits {
  readonly timeToFullMs: number;
  readonly lagMs: number;
  /** How far the oplog must reach back. */
  readonly windowMs: number;
  /** A share of the oplog's window. */
  readonly windowUsed: number;
}

export const guardSchema: z.ZodType<GuardLimits> = z
  .strictObject({
    windowUsed: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.7)
      .describe("How much of the time that the oplog reaches back the source may be behind, as a share of 1."),
    timeToFull: durationSchema
      .prefault("10m")
      .describe(
        "How soon the oplog no longer holds what comes next, if the source falls back as in the last two minutes.",
      ),
    window: durationSchema
      .prefault("1h")
      .describe("How far the oplog reaches back, once it is full: a worker that is away for longer loses events."),
    lag: durationSchema
      .prefault("5m")
      .describe("How far the source is behind, beyond the time that `bus.fsync` holds it back."),
  })
  .transform(({ timeToFull, lag, window, windowUsed }) => ({
    windowUsed,
    timeToFullMs: timeToFull,
    windowMs: window,
    lagMs: lag,
  }));
