// The measures of what a slot holds back: their limits, and what is said of each beyond its limit.

import type { RetentionMetric } from "../../retention.ts";
import type { GuardLimits } from "../options/guard-config.ts";

const GROWING = "docs/operations/slot-growing.md";

/** The worst first. */
export function slotMetrics(limits: GuardLimits): readonly RetentionMetric[] {
  return [
    {
      name: "lost",
      unit: undefined,
      help: "1 when the database has given up keeping the log for the source.",
      limit: 0,
      means: "lost",
      hint: "What was not read is lost to the stream: docs/operations/slot-lost.md.",
      alarm: () =>
        "the database has given up the slot: what was not read from it is lost (docs/operations/slot-lost.md)",
    },
    {
      name: "retainedBytes",
      unit: "bytes",
      help: "Bytes of log that the database keeps for the source.",
      limit: limits.retainedBytes,
      hint: `The slot fills the server's disk: ${GROWING}.`,
      alarm: (value, limit) => `the database keeps ${value} bytes of log for it, more than ${limit} (${GROWING})`,
    },
    {
      name: "timeToFullSeconds",
      unit: "seconds",
      help: "Until that log is lost, or at its limit, if it goes on like this.",
      limit: limits.timeToFullMs / 1000,
      means: "timeToFull",
      hint: `The slot is about to be lost: ${GROWING}.`,
      alarm: (value, limit) => `its slot is full in ${whole(value)} s, sooner than in ${whole(limit)} s (${GROWING})`,
      soon: (seconds) => ({ code: "SLOT_FULL_SOON", message: `its slot is full in ${whole(seconds)} s` }),
    },
    {
      name: "lagSeconds",
      unit: "seconds",
      help: "Age of the oldest log that is not acknowledged.",
      limit: limits.lagMs / 1000,
      means: "lag",
      hint: `The source does not keep up, or does not move: ${GROWING}.`,
      alarm: (value, limit) =>
        `its oldest unacknowledged log is ${whole(value)} s old, more than ${whole(limit)} s (${GROWING})`,
    },
    {
      name: "catalogXminAge",
      unit: "transactions",
      help: "Age of what VACUUM must leave in the catalog for the source.",
      limit: limits.catalogXminAge,
      hint: `VACUUM cannot clean the catalog behind the slot: ${GROWING}.`,
      alarm: (value, limit) =>
        `VACUUM must leave ${value} transactions of the catalog to it, more than ${limit} (${GROWING})`,
    },
  ];
}

function whole(seconds: number): number {
  return Math.round(seconds);
}
