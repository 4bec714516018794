// What is counted of events by their types: how attempts ended, and how long they took.

import type { Registry } from "prom-client";
import { type Durations, durationHistogram } from "./durations.ts";
import { sampled } from "./sampled.ts";

/** Types that are told apart; tables that come and go must not fill the memory of whoever scrapes. */
const MAX_TYPES = 500;
/** Stands for all others. */
const OTHER = "other";

/** How often events of one type ended so. */
export interface Ends {
  success: number;
  failure: number;
}

/** Of all automations together; how long attempts took, of each. */
export class EventMetrics {
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

  /** So many events, or attempts of one, ended so. */
  ended(type: string, status: keyof Ends, events = 1): void {
    this.#of(type)[status] += events;
  }

  /** How long an attempt took. */
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

function entry<T>(map: Map<string, T>, id: string, make: () => T): T {
  const known = map.get(id);
  if (known !== undefined) return known;
  const made = make();
  map.set(id, made);
  return made;
}
