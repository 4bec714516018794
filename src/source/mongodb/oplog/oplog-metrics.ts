// The measures of how near a source is to the oplog's end: their limits, and what is said of each beyond its limit.

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
      help: "Until the oplog no longer holds what comes next, if the source stood still.",
      limit: limits.timeToFullMs / 1000,
      means: "timeToFull",
      hint: `The source is about to fall off the oplog: ${SHRINKING}.`,
      alarm: (value, limit) =>
        `the oplog no longer holds what comes next in ${Math.round(value)} s, sooner than in ${Math.round(limit)} s (${SHRINKING})`,
    },
    {
      name: "windowUsed",
      unit: "ratio",
      help: "How much of the time that the oplog reaches back the source is behind.",
      limit: limits.windowUsed,
      hint: `The oplog is short for how far the source is behind: ${SHRINKING}.`,
      alarm: (value, limit) =>
        `it is behind by ${percent(value)} of the time that the oplog reaches back, more than ${percent(limit)} (${SHRINKING})`,
    },
    {
      name: "lagSeconds",
      unit: "seconds",
      help: "How far the newest entry of the log is ahead of what is acknowledged.",
      limit: limits.lagMs / 1000,
      means: "lag",
      hint: `The source does not keep up, or does not move: ${SHRINKING}.`,
      alarm: (value, limit) =>
        `what it has acknowledged is ${Math.round(value)} s behind the log, more than ${Math.round(limit)} s (${SHRINKING})`,
    },
  ];
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
