// What is told of each event on its way through an automation: always counted, and logged where that is asked for.

import type { Delivery } from "../../bus/bus.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import { percentDecoded } from "../../event/percent.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { AutomationParts } from "./automation-parts.ts";

/** What becomes of an event, but for dead letters. `filtered`: no trigger asked for it, and no handler was started. */
type Outcome = "handled" | "skipped" | "filtered" | "retried";
/** In shadow; with the reason of the dead letter that it would have been. */
type InShadow = { readonly shadow: DeadReason | undefined };
const outcomes: ReadonlySet<string> = new Set<Outcome>(["handled", "skipped", "filtered", "retried"]);

interface Given {
  readonly source: SourceId;
  readonly delivery: Delivery;
}

/** A handler is about to be started. @param attempt from 1 */
export function received({ automation, clock, log, logEvents }: AutomationParts, given: Given, attempt: number): void {
  if (!logEvents) return;
  const committedAt = Date.parse(given.delivery.header("ce-time") ?? "");
  const ageSeconds = Number.isNaN(committedAt) ? undefined : Math.max(0, clock.wall() - committedAt) / 1000;
  log.info("event_received", { automation: automation.id, ...factsOf(given), attempt, ageSeconds });
}

/** The attempt has ended, or timed out. */
export function took({ automation, metrics }: AutomationParts, { delivery }: Given, seconds: number): void {
  metrics.duration(automation.id, typeOf(delivery), seconds);
}

/** What became of it is stored on the bus. @param reason of a dead letter */
export function settled(
  { automation, log, metrics, logEvents }: AutomationParts,
  given: Given,
  outcome: Outcome | DeadReason | InShadow,
): void {
  const type = typeOf(given.delivery);
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

function isOutcome(outcome: Outcome | DeadReason): outcome is Outcome {
  return outcomes.has(outcome);
}

/** What is logged of the event's envelope, never of the row. */
function factsOf({ source, delivery }: Given): Readonly<Record<string, unknown>> {
  return {
    id: delivery.header("ce-id"),
    type: typeOf(delivery),
    source,
    sequence: delivery.sequence,
    // Nobody caused it: it begins its chain.
    correlationId: delivery.header("ce-correlationid") ?? delivery.header("ce-id"),
  };
}

function typeOf(delivery: Delivery): string {
  return percentDecoded(delivery.header("ce-type") ?? "unknown");
}
