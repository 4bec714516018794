// What is waited for on purpose, and by nobody's fault: the turn of an endpoint with a rate, or one that is paused.

import { Retry } from "./outcome.ts";

const waits: unique symbol = Symbol.for("millrace.waiting");

/** Keeps the event in hand and spends no attempt, like `retry({ unavailable })`, but nothing is away: the automation stays ready. */
export class Waiting extends Retry {
  readonly [waits] = true;
  /** Said of the automation while it waits; undefined for what soon passes. */
  readonly why: string | undefined;

  /** @param afterMs to wait before the next look; at most two minutes */
  constructor(what: string, afterMs: number, why?: string) {
    super({ after: Math.min(Math.max(afterMs, SHORTEST_MS), LONGEST_MS), unavailable: what });
    this.name = "Waiting";
    this.message = `${what} is waited for`;
    this.why = why;
  }
}

const SHORTEST_MS = 20;
const LONGEST_MS = 120_000;

export function isWaiting(thrown: unknown): thrown is Waiting {
  return typeof thrown === "object" && thrown !== null && (thrown as { [waits]?: unknown })[waits] === true;
}
