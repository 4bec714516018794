// What the worker hands to the bus beside its sources: facts about one event that comes from no source's log.

import type { Lineage } from "./lineage.ts";

/** One event for `MILLRACE_EVENTS`, without a word of how the bus carries it. */
export interface WorkerEvent {
  /** The token behind `events`: who says it. */
  readonly origin: "_system" | "_manual" | "_in" | "_post" | "_schedule";
  /** With `name` what has happened: two tokens of the subject and, joined by a dot, the end of `ce-type`. */
  readonly aggregate: string;
  readonly name: string;
  /** The same for the same occurrence, whoever tells it and however often: the bus stores it once. */
  readonly id: string;
  /** `ce-subject`: what it is about. */
  readonly subject: string;
  readonly lane: string;
  /** What caused it, where an automation did. */
  readonly lineage?: Lineage;
  /** RFC 3339 in UTC. */
  readonly time: string;
  /** Finished JSON text, UTF-8. */
  readonly data: Uint8Array;
}
