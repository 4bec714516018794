// The options of the guard: from where on it warns.

import { z } from "zod";
import { durationSchema } from "../../../config/duration-schema.ts";

/** From where on each measure is worth a warning. */
export interface GuardLimits {
  /** A share of the 24 hours that DynamoDB keeps changes. */
  readonly retentionUsed: number;
  readonly timeToFullMs: number;
  readonly lagMs: number;
}

export const guardSchema: z.ZodType<GuardLimits> = z
  .strictObject({
    retentionUsed: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.5)
      .describe("How old the oldest change that waits may be, as a share of the 24 hours that DynamoDB keeps it."),
    timeToFull: durationSchema
      .prefault("6h")
      .describe(
        "How soon a stream no longer holds what comes next, if the source falls back as in the last two minutes.",
      ),
    lag: durationSchema
      .prefault("5m")
      .describe("How old the oldest change that waits may be, beyond the time that `bus.fsync` holds it back."),
  })
  .transform(({ retentionUsed, timeToFull, lag }) => ({ retentionUsed, timeToFullMs: timeToFull, lagMs: lag }));
