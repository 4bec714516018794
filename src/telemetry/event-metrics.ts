// Events by their type: how many, with what end, and how long they took. The three names are those of the guide this
// project grew from, so that its dashboards work as they are: no prefix.

import { Histogram, type Registry } from "prom-client";
import { sampled } from "./sampled.ts";

/** Types that are told apart; tables that come and go must not fill the memory of whoever scrapes. */
const MAX_TYPES = 500;
/** Stands for all others. */
const OTHER = "other";

interface Ends {
  success: number;
  failure: number;
}

export class EventMetrics {
  readonly #ends = new Map<string, Ends>();
  readonly #durations: Histogram<"automation" | "event_type">;

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
    this.#durations = new Histogram({
      name: "event_processing_seconds",
      help: "How long attempts of handlers took.",
      labelNames: ["automation", "event_type"],
      buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
      registers: [registry],
    });
  }

  ended(type: string, status: keyof Ends): void {
    this.#of(type)[status]++;
  }

  took(automation: string, type: string, seconds: number): void {
    this.#of(type);
    this.#durations.observe({ automation, event_type: this.#ends.has(type) ? type : OTHER }, seconds);
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
