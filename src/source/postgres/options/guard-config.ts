// The options of the guard, and of the slot's last resort: what may be written, and what they default to.

import { z } from "zod";
import { durationSchema } from "../../../config/duration-schema.ts";

/** From where on each measure is worth a warning. */
export interface GuardLimits {
  readonly retainedBytes: number;
  readonly timeToFullMs: number;
  readonly lagMs: number;
  /** In transactions. */
  readonly catalogXminAge: number;
}

/** The last resort. */
export interface FullSlot {
  readonly atBytes: number;
  readonly action: "stop" | "drop-and-gap";
}

interface SlotOptions {
  readonly name?: string | undefined;
  readonly full?: FullSlot | undefined;
}

const count = z.int().positive({ error: "expected a whole number above 0" });

export const guardSchema: z.ZodType<GuardLimits> = z
  .strictObject({
    retainedBytes: count
      .default(10_000_000_000)
      .describe("Bytes of log that the server keeps for the slot: this is what fills its disk."),
    timeToFull: durationSchema
      .prefault("10m")
      .describe(
        "How soon the slot is lost (`max_slot_wal_keep_size`), or reaches `slot.fullAtBytes`, if it goes on as in the last minute.",
      ),
    lag: durationSchema
      .prefault("5m")
      .describe("How old the oldest log is that is not acknowledged, beyond the time that `bus.fsync` holds it back."),
    catalogXminAge: count
      .default(50_000_000)
      .describe("How many transactions old the rows are that VACUUM must leave in the catalog for the slot."),
  })
  .transform(({ timeToFull, lag, ...limits }) => ({ ...limits, timeToFullMs: timeToFull, lagMs: lag }));

const slotName = z
  .string()
  .regex(/^[a-z0-9_]{1,63}$/, { error: "expected up to 63 lower-case letters, digits or _" })
  .describe("Its name; `millrace_<source>` by default.");

const slotObject = z.strictObject({
  name: slotName.optional(),
  fullAtBytes: count.describe("How much log it may hold: from there on it is full."),
  onFull: z
    .enum(["stop", "drop-and-gap"])
    .describe(
      'The last resort when it is full. "stop": the source stops, and the slot stays. "drop-and-gap": the slot is dropped so that the server\'s disk survives, what it held is lost, and the source starts over behind a recorded gap; this needs `onGap: "continue"` or `"backfill"`. Without it a slot is never given up: the guard only warns.',
    ),
});

export const slotSchema: z.ZodType<SlotOptions> = z.union([slotName, slotObject]).transform((slot): SlotOptions => {
  if (typeof slot === "string") return { name: slot };
  return { name: slot.name, full: { atBytes: slot.fullAtBytes, action: slot.onFull } };
});
