// What the event log says of an event: never its row.

import { percentDecoded } from "../../event/percent.ts";
import type { EventLog, Outcome, Told } from "./event-log.ts";
import type { Job } from "./job.ts";

const maxReason = 500;

/** Resolves once it is stored, to the interruptions of the bus by then; awaited before each ack, `term` and return after a failed attempt. @throws MillraceError */
export function tell(log: EventLog, job: Job, outcome: Outcome, told: Told): Promise<number> {
  const { delivery, tookMs } = job;
  const { stream, run } = delivery;
  const about = { stream, run, delivery };
  if (outcome === "done" || outcome === "filtered") return log.tellOne(outcome, about);
  const { attempt, reason, error, delayMs, wouldBe } = told;
  const header = (name: string): string | undefined => {
    const value = delivery.header(name);
    return value === undefined ? undefined : percentDecoded(value);
  };
  const id = header("ce-id");
  return log.tellAlone(outcome, about, {
    id,
    type: header("ce-type"),
    attempt,
    ...wouldBe,
    reason: reason?.slice(0, maxReason),
    error: error && { name: error.name, code: error.code },
    delayMs: delayMs === undefined ? undefined : Math.round(delayMs),
    durationMs: tookMs === undefined ? undefined : Math.round(tookMs),
    // Nobody caused it: it begins its chain.
    correlationId: header("ce-correlationid") ?? id,
    causationId: header("ce-causationid"),
  });
}
