// What the parts of a running automation share; each hands it on to the next.

import type { Bus } from "../../bus/bus.ts";
import type { Clock } from "../../clock.ts";
import type { AutomationMetrics } from "../../telemetry/automation-metrics.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Tracing } from "../../telemetry/tracing.ts";
import type { Automation } from "../define/automation.ts";
import type { LogErrors } from "../outcome/error-summary.ts";
import type { Endpoints } from "../outcome/sending.ts";
import type { TxDatabase } from "../tx/tx.ts";
import type { Solitude } from "./solitude.ts";

/** What all automations of a worker are given alike. */
export interface WorkerParts {
  readonly bus: Bus;
  readonly log: Logger;
  readonly metrics: AutomationMetrics;
  /** Undefined where nobody records spans. */
  readonly tracing?: Tracing | undefined;
  readonly clock: Clock;
  /** What `send()` reaches; undefined where nothing is. */
  readonly reach?: Endpoints | undefined;
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
  /** For how long at most an event waits for its retry where it is; else in MILLRACE_RETRY. */
  readonly longestPauseMs: number;
  /** Who of all handlers of this process runs alone. */
  readonly solitude: Solitude;
}
