// The measures of how near a source is to what its streams no longer keep: their limits, and what is said of each beyond its limit.

import { duration, percent } from "../../../telemetry/quantities.ts";
import type { RetentionMetric } from "../../retention.ts";
import type { GuardLimits } from "../options/guard-config.ts";

const ENDING = "docs/operations/stream-retention.md";
const LOST = "docs/operations/shard-lost.md";

/** How long DynamoDB keeps a change, whoever still needs it. */
export const KEPT_SECONDS = 24 * 3600;

/** The worst first. */
export function streamMetrics(limits: GuardLimits): readonly RetentionMetric[] {
  return [
    {
      name: "lost",
      unit: undefined,
      help: "1 when a shard no longer holds what comes next for the source.",
      limit: 0,
      means: "lost",
      hint: `What was not read is lost to the stream: ${LOST}.`,
      alarm: () => `a shard no longer holds what comes next: what was not read is lost (${LOST})`,
    },
    {
      name: "timeToFullSeconds",
      unit: "seconds",
      help: "Until that log is lost, or at its limit, if it goes on like this.",
      limit: limits.timeToFullMs / 1000,
      means: "timeToFull",
      hint: `The source is about to lose changes: ${ENDING}.`,
      alarm: (value, limit) =>
        `the oldest change that waits is dropped in ${duration(value)}, sooner than in ${duration(limit)} (${ENDING})`,
      soon: (seconds) => ({
        code: "STREAM_LOST_SOON",
        message: `it falls back, and the oldest change that waits is dropped in ${duration(seconds)} (${ENDING})`,
      }),
    },
    {
      name: "retentionUsed",
      unit: "ratio",
      help: "How old the oldest change that waits is, as a share of the 24 hours that DynamoDB keeps it; what is left is its headroom.",
      limit: limits.retentionUsed,
      hint: `The source is about to lose changes: ${ENDING}.`,
      alarm: (value, limit) =>
        `the oldest change that waits has used ${percent(value)} of its 24 hours, more than ${percent(limit)} (${ENDING})`,
    },
    {
      name: "lagSeconds",
      unit: "seconds",
      help: "Age of the oldest log that is not acknowledged.",
      limit: limits.lagMs / 1000,
      means: "lag",
      hint: `The source does not keep up, or does not move: ${ENDING}.`,
      alarm: (value, limit) =>
        `the oldest change that is not acknowledged is ${duration(value)} old, more than ${duration(limit)} (${ENDING})`,
    },
  ];
}
