// What the parts of a running automation share; each hands it on to the next.

import type { Bus } from "../../bus/bus.ts";
import type { Clock } from "../../clock.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Automation } from "../define/automation.ts";
import type { LogErrors } from "../outcome/error-lines.ts";
import type { TxDatabase } from "../tx/tx.ts";
import type { Solitude } from "./solitude.ts";

/** What an automation counts; the application turns it into metrics. */
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

/** What all automations of a worker are given alike. */
export interface WorkerParts {
  readonly bus: Bus;
  readonly log: Logger;
  readonly metrics: AutomationMetrics;
  readonly clock: Clock;
  /** One line when an event is given to a handler, and one with what became of it. */
  readonly logEvents: boolean;
  /** How much of what a handler throws is logged. */
  readonly logErrors: LogErrors;
  /** From its abort on no handler is started, and what runs is waited for. */
  readonly signal: AbortSignal;
}

/** What one automation is run with. */
export interface AutomationParts extends WorkerParts {
  readonly automation: Automation;
  /** Where `tx` opens its transactions; undefined when none was configured. */
  readonly database: TxDatabase | undefined;
  /** Handlers that may stand between the first change and an event, before that is a cycle. */
  readonly maxHops: number;
  /** What the server waits for a sign of life before it hands an event out again. */
  readonly ackWaitMs: number;
  /** Who of all handlers of this process runs alone. */
  readonly solitude: Solitude;
}
