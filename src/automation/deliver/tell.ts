// What the event log says of an event: never its row. How an attempt ended is told once, and again only where the bus has lost
// something of its log since.

import type { Bus } from "../../bus/bus.ts";
import { percentDecoded } from "../../event/percent.ts";
import { onceId } from "./dead-letter.ts";
import type { EventLog, Outcome, Told, ToldAt } from "./event-log.ts";
import type { Job } from "./job.ts";

const maxReason = 500;

export interface Telling {
  readonly automation: string;
  readonly log: EventLog;
  readonly bus: Pick<Bus, "interruptions" | "logLosses">;
  /** Repeats what asks the bus while it is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
}

/** Resolves once it stands in the log, to the interruptions of the bus by then; awaited before each ack, `term` and return after a failed attempt. @throws MillraceError */
export async function tell(telling: Telling, job: Job, outcome: Outcome, told: Told): Promise<number> {
  const { bus, persist } = telling;
  const last = job.lastTold;
  if (last?.outcome === outcome && last.attempt === told.attempt) {
    let { interruptions } = last.at;
    const losses = await persist(() => {
      interruptions = bus.interruptions();
      return bus.logLosses();
    });
    if (losses === last.at.losses) return interruptions;
  }
  const at = await record(telling, job, outcome, told);
  job.lastTold = { outcome, attempt: told.attempt, at };
  return at.interruptions;
}

/** The same of an attempt that nothing was told of: all that is told in one turn has one promise. @throws MillraceError */
export function record({ automation, log }: Telling, job: Job, outcome: Outcome, told: Told): Promise<ToldAt> {
  const { delivery, tookMs } = job;
  const { stream, run } = delivery;
  const about = { stream, run, delivery };
  if (outcome === "done" || outcome === "filtered") return log.tellOne(outcome, about);
  const { attempt, reason, error, delayMs, wouldBe, since } = told;
  const header = (name: string): string | undefined => {
    const value = delivery.header(name);
    return value === undefined ? undefined : percentDecoded(value);
  };
  const id = header("ce-id");
  // No handler of its own stands behind that record: whoever has the event behind a crash would tell the same once more.
  const once = outcome === "dead" ? { id: onceId(automation, delivery), ...(since !== undefined && { since }) } : {};
  const body = {
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
  };
  return log.tellAlone(outcome, about, body, once);
}
