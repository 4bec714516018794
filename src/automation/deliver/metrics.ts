// What an automation counts; the application turns it into metrics.

import type { DeadReason } from "../../event/dead-reason.ts";

export interface AutomationMetrics {
  /** A handler returned and the ack was confirmed. `type` is everywhere the event's `ce-type`. */
  handled(automation: string, type: string): void;
  /** The same, after `skip(reason)`. */
  skipped(automation: string, type: string): void;
  /** None of the triggers asked for it: no handler was started. */
  filtered(automation: string, type: string): void;
  /** An attempt failed and another one will follow. */
  retried(automation: string, type: string): void;
  /** A dead letter was stored. */
  dead(automation: string, reason: DeadReason, type: string): void;
  /** It went on behind events that left the stream before it got them. */
  missed(automation: string): void;
  /** What a handler began failed, and nobody caught it. */
  stray(automation: string): void;
  /** Handlers that run now. */
  running(automation: string, handlers: number): void;
  /** How long an attempt took, until it ended or timed out. */
  duration(automation: string, type: string, seconds: number): void;
}
