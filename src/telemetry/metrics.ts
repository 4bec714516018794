// What is counted: plain numbers for the status, which the Prometheus registry reads when it is scraped.

import { collectDefaultMetrics, Registry } from "prom-client";
import type { DeadReason } from "../event/dead-reason.ts";
import { type Durations, durationHistogram } from "./durations.ts";
import { type IngressCounters, ingressCounters } from "./ingress-metrics.ts";
import { sampled } from "./sampled.ts";

/** Counts of one source, since the process started. */
export interface SourceCounts {
  /** Messages that came out of the database's log. */
  read: number;
  /** Events that the bus has acknowledged. */
  published: number;
  /** Markers about the source (`meta.…`) that the bus has acknowledged, but for those of a writer's start. */
  markers: number;
  /** Rows that were stored by copies of existing rows; they are no events of the log. */
  copied: number;
  /** Whole transactions among them. */
  transactions: number;
  /** Checkpoints stored on the bus. */
  saved: number;
  /** Positions told to the database. */
  acknowledged: number;
  /** Rows that could not be decoded or were too large, and were dead-lettered. */
  poison: number;
  /** How often the writer had to look up again what the stream holds. */
  recovered: number;
  /** How often the source was opened again after an error. */
  retried: number;
  /** How often it stopped for an error that no outage explains: of Millrace, or of a library. */
  bugs: number;
  /** Gaps that it went on behind. */
  gaps: number;
  /** The same of some of its tables alone. */
  tableGaps: number;
  /** How often the database has agreed to send its log. */
  opened: number;
  /** Documents that were asked for and were gone by then. */
  lookupsEmpty: number;
  /** Images before or after a change that were asked for and that the database did not have. */
  imagesMissing: number;
  /** Requests that were sent for records: what a database is paid for by. */
  requests: number;
  /** Requests that the database put off, because there were too many. */
  throttled: number;
  /** Names of places in the log that the database no longer took. */
  iteratorsExpired: number;
}

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

export interface Metrics {
  readonly registry: Registry;
  /** The counts of a source, to be read and raised. */
  source(id: string): SourceCounts;
  /** The counts of an automation, to be read. */
  automation(id: string): Readonly<AutomationCounts>;
  readonly automations: AutomationMetrics;
  readonly ingress: IngressCounters;
}

const sourceCounters: Readonly<Record<keyof SourceCounts, readonly [name: string, help: string]>> = {
  read: ["source_messages_read_total", "Messages read from the source's log."],
  published: ["source_events_published_total", "Events stored on the bus."],
  markers: ["source_markers_published_total", "Markers about the source (meta.…) stored on the bus."],
  copied: ["backfill_rows_total", "Rows stored by copies of existing rows (`millrace backfill`)."],
  transactions: ["source_transactions_published_total", "Whole transactions stored on the bus."],
  saved: ["checkpoints_saved_total", "Checkpoints stored on the bus."],
  acknowledged: ["source_acknowledged_total", "Positions acknowledged to the source."],
  poison: ["source_poison_total", "Rows dead-lettered because they cannot be decoded or are too large."],
  recovered: ["bus_recoveries_total", "Times the writer had to find out again what the stream holds."],
  retried: ["source_retries_total", "Times the source was opened again after an error."],
  bugs: ["source_bugs_total", "Times the source stopped because code is broken: Millrace's, or a library's."],
  gaps: ["source_gaps_total", "Gaps that the source went on behind: events that can never come."],
  tableGaps: [
    "source_table_gaps_total",
    "Gaps of some of its tables alone: rows that came or went without an event, such as those of a partition that was dropped.",
  ],
  opened: [
    "source_log_opened_total",
    "Times the source's log was opened: at a start, and to go on behind an error or where a change stream had ended.",
  ],
  lookupsEmpty: [
    "source_lookups_empty_total",
    "Updates whose document was asked for (`images.after: lookup`) and was gone by then.",
  ],
  imagesMissing: [
    "source_images_missing_total",
    "Images that were asked for (`images: stored`) and that the database did not have.",
  ],
  requests: [
    "source_requests_total",
    "Requests sent for records, as a database counts them that is paid for by requests (DynamoDB: GetRecords).",
  ],
  throttled: ["source_throttled_total", "Requests that the database put off because there were too many (DynamoDB)."],
  iteratorsExpired: [
    "source_iterators_expired_total",
    "Iterators that the database no longer took; the source goes on by the sequence number (DynamoDB).",
  ],
};

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

/** Fresh counts, with a registry of their own that also measures the process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges that are named as counters are; the same numbers come by type without the ending.
  for (const what of ["handles", "requests", "resources"]) registry.removeSingleMetric(`nodejs_active_${what}_total`);
  const sources = new Map<string, SourceCounts>();
  const automations = new Map<string, AutomationCounts>();
  for (const [count, [name, help]] of Object.entries(sourceCounters)) {
    sampled(registry, { name: `millrace_${name}`, help, labelNames: ["source"] }, () =>
      [...sources].map(([source, counts]) => [{ source }, counts[count as keyof SourceCounts]]),
    );
  }
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
        ...Object.entries(counts.deadBy).map(
          ([reason, count]) => [{ automation, outcome: "dead", reason }, count] as const,
        ),
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
  const automation = (id: string): AutomationCounts => entry(automations, id, () => ({ ...none, deadBy: {} }));
  const counted =
    (count: "handled" | "skipped" | "retried", end: keyof Ends) =>
    (id: string, type: string, ended = 1) => {
      automation(id)[count] += ended;
      events.ended(type, end, ended);
    };
  const buried = (id: string, reason: string): void => {
    const counts = automation(id);
    counts.dead++;
    counts.deadBy[reason] = (counts.deadBy[reason] ?? 0) + 1;
  };
  return {
    registry,
    source: (id) =>
      entry(
        sources,
        id,
        () => Object.fromEntries(Object.keys(sourceCounters).map((count) => [count, 0])) as unknown as SourceCounts,
      ),
    automation,
    ingress: ingressCounters(registry),
    automations: {
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
    },
  };
}

function entry<T>(map: Map<string, T>, id: string, make: () => T): T {
  const known = map.get(id);
  if (known !== undefined) return known;
  const made = make();
  map.set(id, made);
  return made;
}

/** Types that are told apart; tables that come and go must not fill the memory of whoever scrapes. */
const MAX_TYPES = 500;
/** Stands for all others. */
const OTHER = "other";

interface Ends {
  success: number;
  failure: number;
}

class EventMetrics {
  readonly #ends = new Map<string, Ends>();
  readonly #durationsOf: ReturnType<typeof durationHistogram>;
  /** By automation, then by type. */
  readonly #durations = new Map<string, Map<string, Durations>>();

  constructor(registry: Registry) {
    sampled(
      registry,
      {
        name: "events_total",
        help: "Events that automations were given: success when it was handled or skipped, failure for each attempt that failed and for each dead letter without one.",
        labelNames: ["event_type", "status"],
      },
      () =>
        [...this.#ends].flatMap(([event_type, { success, failure }]) => [
          ...(success > 0 ? [[{ event_type, status: "success" }, success] as const] : []),
          ...(failure > 0 ? [[{ event_type, status: "failure" }, failure] as const] : []),
        ]),
    );
    this.#durationsOf = durationHistogram(
      registry,
      {
        name: "event_processing_seconds",
        help: "How long attempts of handlers took.",
        labelNames: ["automation", "event_type"],
      },
      [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
    );
  }

  ended(type: string, status: keyof Ends, events = 1): void {
    this.#of(type)[status] += events;
  }

  took(automation: string, type: string, seconds: number): void {
    const byType = entry(this.#durations, automation, () => new Map<string, Durations>());
    let durations = byType.get(type);
    if (durations === undefined) {
      this.#of(type);
      const event_type = this.#ends.has(type) ? type : OTHER;
      durations = entry(byType, event_type, () => this.#durationsOf({ automation, event_type }));
    }
    durations.observe(seconds);
  }

  #of(type: string): Ends {
    const known = this.#ends.get(type);
    if (known !== undefined) return known;
    if (this.#ends.size >= MAX_TYPES && type !== OTHER) return this.#of(OTHER);
    const made = { success: 0, failure: 0 };
    this.#ends.set(type, made);
    return made;
  }
}
