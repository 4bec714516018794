// A duration as configuration has it: text like "10m", read as milliseconds.

import { z } from "zod";
import { parseDuration } from "../event/duration.ts";

/** Milliseconds, above 0. */
export const durationSchema: z.ZodType<number, string> = z.string().transform((text, context): number => {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  context.addIssue({ code: "custom", message: 'expected a duration like "10m"' });
  return z.NEVER;
});
