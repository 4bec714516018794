// The measures of how near a source is to the oplog's end: their limits, and what is said of each beyond its limit.

import { duration, percent } from "../../../telemetry/quantities.ts";
import type { RetentionMetric } from "../../retention.ts";
import type { GuardLimits } from "../options/guard-config.ts";

const SHRINKING = "docs/operations/oplog-window.md";
const LOST = "docs/operations/oplog-lost.md";

/** The worst first. */
export function oplogMetrics(limits: GuardLimits): readonly RetentionMetric[] {
  return [
    {
      name: "lost",
      unit: undefined,
      help: "1 when the oplog no longer holds what comes next for the source.",
      limit: 0,
      means: "lost",
      hint: `What was not read is lost to the stream: ${LOST}.`,
      alarm: () => `the oplog no longer holds what comes next: what was not read is lost (${LOST})`,
    },
    {
      name: "timeToFullSeconds",
      unit: "seconds",
      help: "Until that log is lost, or at its limit, if it goes on like this.",
      limit: limits.timeToFullMs / 1000,
      means: "timeToFull",
      hint: `The source is about to fall off the oplog: ${SHRINKING}.`,
      alarm: (value, limit) =>
        `the oplog no longer holds what comes next in ${duration(value)}, sooner than in ${duration(limit)} (${SHRINKING})`,
      soon: (seconds) => ({
        code: "OPLOG_LOST_SOON",
        message: `it falls back, and the oplog no longer holds what comes next in ${duration(seconds)} (${SHRINKING})`,
      }),
    },
    {
      name: "windowUsed",
      unit: "ratio",
      help: "How much of the time that the oplog reaches back the source is behind; what is left is its headroom.",
      limit: limits.windowUsed,
      hint: `The oplog is short for how far the source is behind: ${SHRINKING}.`,
      alarm: (value, limit) =>
        `it is behind by ${percent(value)} of the time that the oplog reaches back, more than ${percent(limit)} (${SHRINKING})`,
    },
    {
      name: "windowSeconds",
      unit: "seconds",
      help: "How far the oplog reaches back; none while it is not full, for then it drops nothing.",
      limit: limits.windowMs / 1000,
      means: "room",
      hint: `A worker that is away for longer loses events: ${SHRINKING}.`,
      alarm: (value, limit) => `the oplog reaches back ${duration(value)}, less than ${duration(limit)} (${SHRINKING})`,
    },
    {
      name: "lagSeconds",
      unit: "seconds",
      help: "Age of the oldest log that is not acknowledged.",
      limit: limits.lagMs / 1000,
      means: "lag",
      hint: `The source does not keep up, or does not move: ${SHRINKING}.`,
      alarm: (value, limit) =>
        `what it has acknowledged is ${duration(value)} behind the log, more than ${duration(limit)} (${SHRINKING})`,
    },
  ];
}
