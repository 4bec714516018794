// What a test learns of what its automations did.

import type { DeadLetter } from "../automation/deliver/dead-letter.ts";
import type { WouldBe } from "../automation/outcome/shadow.ts";
import type { DeadReason } from "../event/dead-reason.ts";
import type { LogLevel } from "../telemetry/logger.ts";
import type { GivenDomain } from "./given-event.ts";

/** What became of one event at one automation. */
export interface Outcome {
  readonly automation: string;
  /** The event's `ce-id`. */
  readonly event: string;
  /** Which of the given events it is, from 0. */
  readonly nth: number;
  /** `undelivered`: it is of a table, or of a type, that no trigger of the automation asks for: in production it never gets it. */
  readonly outcome: "done" | "skipped" | "filtered" | "dead" | "shadow" | "undelivered";
  /** Attempts that count: handlers that were started, but for those that failed by what was away. */
  readonly attempts: number;
  /** Why it was skipped, or is dead; of an automation in shadow, why it would have been. */
  readonly reason?: DeadReason | string;
  /** What was thrown last, where it is dead. */
  readonly error?: { readonly name: string; readonly message?: string; readonly code?: string };
  /** Of an automation in shadow: how it would have ended, and what it would have done. */
  readonly wouldBe?: WouldBe;
  /** The waits before each further attempt, in ms. */
  readonly waits: readonly number[];
}

/** An event that a handler emitted, in a transaction that was committed; `given` takes it. */
export interface EmittedEvent extends GivenDomain {
  readonly automation: string;
  /** The id of the event that was handled. */
  readonly cause: string;
  readonly key: string;
  readonly data: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/** A message that a handler of `send()` gave to an endpoint, before anything is made of it for the endpoint's kind. */
export interface SentMessage {
  readonly endpoint: string;
  readonly message: unknown;
  readonly automation: string;
  readonly event: string;
}

/** A line that a handler wrote with `log`. */
export interface LoggedLine {
  readonly level: LogLevel;
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly automation: string;
  readonly event: string;
  readonly attempt: number;
}

/** What a handler threw, or was rejected with. */
export interface ThrownError {
  readonly automation: string;
  readonly event: string;
  readonly attempt: number;
  readonly error: unknown;
}

/** A statement that the work of a `tx` ran on the kit's own client, in a transaction that was committed. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** What a test learns of its automations; each list in the order in which it happened, `outcomes` in the order of the events. */
export interface Result {
  readonly outcomes: readonly Outcome[];
  readonly emitted: readonly EmittedEvent[];
  readonly sent: readonly SentMessage[];
  readonly deadLetters: readonly DeadLetter[];
  readonly logs: readonly LoggedLine[];
  readonly errors: readonly ThrownError[];
  readonly statements: readonly Statement[];
  /** Virtual time from the first handler, or outcome, to the last outcome. */
  readonly passedMs: number;
}
