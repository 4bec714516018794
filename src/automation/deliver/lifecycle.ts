// What is told of each event on its way through an automation: always counted, and logged where that is asked for.

import type { Delivery } from "../../bus/subscription.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import { percentDecoded } from "../../event/percent.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { AutomationParts } from "./automation-parts.ts";
import type { Told } from "./event-log.ts";
import type { Job, Said } from "./job.ts";

/** What becomes of an event, but for dead letters. `filtered`: no trigger asked for it, and no handler was started. */
type Outcome = "handled" | "skipped" | "filtered" | "retried";
/** In shadow; with the reason of the dead letter that it would have been. */
type InShadow = { readonly shadow: DeadReason | undefined };
const outcomes: ReadonlySet<string> = new Set<Outcome>(["handled", "skipped", "filtered", "retried"]);

interface Given {
  readonly source: SourceId;
  readonly delivery: Delivery;
  type?: string | undefined;
}

/** A handler is about to be started. @param attempt from 1 */
export function received({ automation, clock, log, logEvents }: AutomationParts, given: Given, attempt: number): void {
  if (!logEvents) return;
  const committedAt = Date.parse(given.delivery.header("ce-time") ?? "");
  const ageSeconds = Number.isNaN(committedAt) ? undefined : Math.max(0, clock.wall() - committedAt) / 1000;
  log.info("event_received", { automation: automation.id, ...factsOf(given), attempt, ageSeconds });
}

/** The attempt has ended, or timed out. */
export function took({ automation, metrics }: AutomationParts, job: Job, seconds: number): void {
  metrics.duration(automation.id, typeOf(job), seconds);
}

/** What became of it is stored on the bus. @param reason of a dead letter */
export function settled(
  { automation, log, metrics, logEvents }: AutomationParts,
  given: Given,
  outcome: Outcome | DeadReason | InShadow,
): void {
  const type = typeOf(given);
  const say = (said: Outcome | "dead" | "shadow", reason?: DeadReason): void => {
    if (logEvents) log.info("event_settled", { automation: automation.id, ...factsOf(given), outcome: said, reason });
  };
  if (typeof outcome === "object") {
    metrics.shadow(automation.id, outcome.shadow);
    say("shadow", outcome.shadow);
  } else if (isOutcome(outcome)) {
    metrics[outcome](automation.id, type);
    say(outcome);
  } else {
    metrics.dead(automation.id, outcome, type);
    say("dead", outcome);
  }
}

/** The same of an event whose handler has done its work. */
export function settledSo(parts: AutomationParts, job: Given, { outcome, told }: Said): void {
  settled(parts, job, outcome === "done" ? "handled" : outcome === "shadow" ? inShadow(told) : outcome);
  if (outcome !== "skipped" && (outcome !== "shadow" || told.wouldBe?.would === "dead")) return;
  const { reason, wouldBe } = told;
  const about = { automation: parts.automation.id, id: job.delivery.header("ce-id"), ...wouldBe };
  parts.log.debug(`automation_${outcome}`, { ...about, ...(reason !== undefined && { reason }) });
}

/** The same of many, whose `said` has how they ended: counted together where they are alike. */
export function settledTogether(parts: AutomationParts, jobs: readonly Job[]): void {
  const { automation, metrics, logEvents } = parts;
  let [alike, type] = [0, ""];
  const count = (): void => {
    if (alike > 0) metrics.handled(automation.id, type, alike);
  };
  for (const job of jobs) {
    const { said } = job;
    if (said === undefined) continue;
    if (said.outcome !== "done" || logEvents) {
      settledSo(parts, job, said);
      continue;
    }
    const one = typeOf(job);
    if (one !== type) {
      count();
      [alike, type] = [0, one];
    }
    alike++;
  }
  count();
}

function inShadow({ wouldBe, reason }: Told): InShadow {
  return { shadow: wouldBe?.would === "dead" ? (reason as DeadReason) : undefined };
}

function isOutcome(outcome: Outcome | DeadReason): outcome is Outcome {
  return outcomes.has(outcome);
}

/** What is logged of the event's envelope, never of the row. */
function factsOf(given: Given): Readonly<Record<string, unknown>> {
  const { source, delivery } = given;
  return {
    id: delivery.header("ce-id"),
    type: typeOf(given),
    source,
    sequence: delivery.sequence,
    // Nobody caused it: it begins its chain.
    correlationId: delivery.header("ce-correlationid") ?? delivery.header("ce-id"),
  };
}

function typeOf(given: Given): string {
  given.type ??= percentDecoded(given.delivery.header("ce-type") ?? "unknown");
  return given.type;
}
