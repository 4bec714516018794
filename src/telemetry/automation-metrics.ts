// What automations report: plain numbers for the status, which the registry reads when it is scraped.

import type { Registry } from "prom-client";
import { type DeadReason, deadReasons } from "../event/dead-reason.ts";
import { type Ends, EventMetrics } from "./event-metrics.ts";
import { sampled } from "./sampled.ts";

/** Counts of one automation, since the process started. */
export interface AutomationCounts {
  handled: number;
  skipped: number;
  /** Undefined until one was. */
  filtered?: number;
  /** In shadow, by the reason of the dead letter that it would have been, else under "". Undefined until one was. */
  shadowBy?: Record<string, number>;
  retried: number;
  dead: number;
  /** Dead letters by their reason. */
  deadBy: Record<string, number>;
  /** Handlers that run now. */
  running: number;
  /** Gaps that it went on behind. */
  gaps: number;
  /** Errors of what its handlers began, which nobody caught. */
  uncaught: number;
  /** Of one with a schedule, due times that this worker fired, of all workers, and how late the newest was. Undefined until one was. */
  fired?: number;
  lateSeconds?: number;
}

/** What automations report, by their ids. */
export interface AutomationMetrics {
  /** So many handlers returned and the acks were confirmed. `type` is everywhere the event's `ce-type`. */
  handled(automation: string, type: string, events?: number): void;
  /** The same, after `skip(reason)`. */
  skipped(automation: string, type: string): void;
  /** None of the triggers asked for it: no handler was started. */
  filtered(automation: string, type: string): void;
  /** It was only in shadow. @param reason of the dead letter that it would have been */
  shadow(automation: string, reason: DeadReason | undefined): void;
  /** An attempt failed and another one will follow. */
  retried(automation: string, type: string): void;
  /** A dead letter was stored. */
  dead(automation: string, reason: DeadReason, type: string): void;
  /** It went on behind events that left the stream before it got them. */
  missed(automation: string): void;
  /** What a handler began failed, and nobody caught it. */
  stray(automation: string): void;
  /** A due time of its schedule was stored, so late. */
  fired(automation: string, lateMs: number): void;
  /** Handlers that run now. */
  running(automation: string, handlers: number): void;
  /** How long an attempt took, until it ended or timed out. */
  duration(automation: string, type: string, seconds: number): void;
}

export interface AutomationCounters extends AutomationMetrics {
  /** The counts of an automation, to be read. */
  counts(automation: string): Readonly<AutomationCounts>;
}

const automationMetrics = {
  running: ["running", "Handlers that run now."],
  gaps: ["gaps_total", "Gaps that the automation went on behind: events that left the stream before it got them."],
  uncaught: ["uncaught_total", "Errors of what the automation's handlers began, which nobody awaited or caught."],
} as const;

const scheduleMetrics = {
  fired: [
    "fired_total",
    "Due times of the automation's schedule that this worker fired; of all workers one fires each.",
  ],
  lateSeconds: ["late_seconds", "How long after its due time the newest of them was fired."],
} as const;

/** @param registry gets the same counts as metrics */
export function automationCounters(registry: Registry): AutomationCounters {
  const automations = new Map<string, AutomationCounts>();
  for (const [count, [name, help]] of Object.entries(automationMetrics)) {
    sampled(registry, { name: `millrace_automation_${name}`, help, labelNames: ["automation"] }, () =>
      [...automations].map(([automation, counts]) => [{ automation }, counts[count as keyof typeof automationMetrics]]),
    );
  }
  sampled(
    registry,
    {
      name: "millrace_automation_events_total",
      help: "Attempts by how they ended, dead letters also by their reason, as filtered events that none of its triggers asked for, and as shadow those of an automation in shadow, with the reason where one would have been a dead letter.",
      labelNames: ["automation", "outcome", "reason"],
    },
    () =>
      [...automations].flatMap(([automation, counts]) => [
        ...(["handled", "skipped", "filtered", "retried"] as const)
          .map((outcome) => [{ automation, outcome, reason: "" }, counts[outcome] ?? 0] as const)
          .filter(([, count]) => count > 0),
        // From 0 on: of what appears with its first letter no increase is seen.
        ...deadReasons.map((reason) => [{ automation, outcome: "dead", reason }, counts.deadBy[reason] ?? 0] as const),
        ...Object.entries(counts.shadowBy ?? {}).map(
          ([reason, count]) => [{ automation, outcome: "shadow", reason }, count] as const,
        ),
      ]),
  );
  for (const [count, [name, help]] of Object.entries(scheduleMetrics)) {
    sampled(registry, { name: `millrace_schedule_${name}`, help, labelNames: ["automation"] }, () =>
      [...automations].flatMap(([automation, counts]) => {
        const value = counts[count as keyof typeof scheduleMetrics];
        return value === undefined ? [] : [[{ automation }, value] as const];
      }),
    );
  }
  const events = new EventMetrics(registry);
  const none = { handled: 0, skipped: 0, retried: 0, dead: 0, running: 0, gaps: 0, uncaught: 0 };
  const automation = (id: string): AutomationCounts => {
    const known = automations.get(id);
    if (known !== undefined) return known;
    const made = { ...none, deadBy: {} };
    automations.set(id, made);
    return made;
  };
  const counted =
    (count: "handled" | "skipped" | "retried", end: keyof Ends) =>
    (id: string, type: string, ended = 1) => {
      automation(id)[count] += ended;
      events.ended(type, end, ended);
    };
  const buried = (id: string, reason: DeadReason): void => {
    const counts = automation(id);
    counts.dead++;
    counts.deadBy[reason] = (counts.deadBy[reason] ?? 0) + 1;
  };
  return {
    counts: automation,
    handled: counted("handled", "success"),
    skipped: counted("skipped", "success"),
    // Not among the events that it was given.
    filtered: (id) => {
      const counts = automation(id);
      counts.filtered = (counts.filtered ?? 0) + 1;
    },
    // Nor among these: it did nothing.
    shadow: (id, reason) => {
      const counts = automation(id);
      const { [reason ?? ""]: so = 0 } = counts.shadowBy ?? {};
      counts.shadowBy = { ...counts.shadowBy, [reason ?? ""]: so + 1 };
    },
    retried: counted("retried", "failure"),
    dead: (id, reason, type) => {
      buried(id, reason);
      events.ended(type, "failure");
    },
    stray: (id) => {
      automation(id).uncaught++;
    },
    missed: (id) => {
      automation(id).gaps++;
    },
    fired: (id, lateMs) => {
      const counts = automation(id);
      counts.fired = (counts.fired ?? 0) + 1;
      counts.lateSeconds = lateMs / 1000;
    },
    running: (id, handlers) => {
      automation(id).running = handlers;
    },
    duration: (id, type, seconds) => events.took(id, type, seconds),
  };
}
