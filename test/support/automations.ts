// Automations running against a real bus, as the worker runs them: for tests of what becomes of events.

import {
  type Automation,
  type AutomationOptions,
  automation,
  type Handler,
} from "../../src/automation/define/automation.ts";
import type { CreatedEvent } from "../../src/automation/define/change-events.ts";
import { collection } from "../../src/automation/define/collection.ts";
import type { Trigger } from "../../src/automation/define/trigger.ts";
import type { LogErrors } from "../../src/automation/outcome/error-summary.ts";
import type { Endpoints } from "../../src/automation/outcome/sending.ts";
import {
  type RunAutomationsOptions,
  type RunningAutomations,
  runAutomations,
} from "../../src/automation/run/run-automations.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { openJetStreamBus } from "../../src/bus/jetstream/jetstream-bus.ts";
import { realClock } from "../../src/clock.ts";
import type { AutomationMetrics } from "../../src/telemetry/automation-metrics.ts";
import { type Logger, silentLogger } from "../../src/telemetry/logger.ts";
import type { Order } from "./shop-stream.ts";

export const orders = collection<Order>("shop", "public.orders");

/** An automation on created orders, with retries that take milliseconds. */
export function onOrder(
  id: string,
  handler: Handler<CreatedEvent<Order>>,
  options: Partial<AutomationOptions<Trigger<CreatedEvent<Order>>>> = {},
): Automation {
  return automation(id, { on: orders.created(), start: "earliest", retry: { min: 20, max: 50 }, ...options }, handler);
}

/** How often each thing happened, by `<automation>.<outcome>`. */
export class Counts implements AutomationMetrics {
  readonly counts: Record<string, number> = {};
  /** The most handlers that ran at once. */
  peak = 0;

  handled(id: string, _type?: string, events = 1): void {
    this.#add(`${id}.handled`, events);
  }
  skipped(id: string, _type?: string, events = 1): void {
    this.#add(`${id}.skipped`, events);
  }
  filtered(id: string, _type?: string, events = 1): void {
    this.#add(`${id}.filtered`, events);
  }
  retried(id: string): void {
    this.#add(`${id}.retried`);
  }
  dead(id: string, reason: string): void {
    this.#add(`${id}.${reason}`);
  }
  shadow(id: string, reason = "done"): void {
    this.#add(`${id}.shadow.${reason}`);
  }
  missed(id: string): void {
    this.#add(`${id}.missed`);
  }
  stray(id: string): void {
    this.#add(`${id}.stray`);
  }
  fired(id: string): void {
    this.#add(`${id}.fired`);
  }
  running(_id: string, handlers: number): void {
    this.peak = Math.max(this.peak, handlers);
  }
  duration(id: string): void {
    this.#add(`${id}.attempts`);
  }

  #add(what: string, times = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + times;
  }
}

export interface Worker extends AsyncDisposable {
  readonly bus: Bus;
  readonly running: RunningAutomations;
  readonly metrics: Counts;
  /** Drains, then closes the connection. */
  stop(): Promise<void>;
  /** Closes the connection at once, as the end of the process would. */
  kill(): Promise<void>;
}

export interface WorkerOptions {
  readonly url: string;
  readonly automations: readonly Automation[];
  readonly ackWaitMs?: number;
  readonly adopt?: boolean;
  readonly admit?: NonNullable<RunAutomationsOptions["admit"]>;
  readonly missedLookMs?: number;
  readonly longestPauseMs?: number;
  readonly log?: Logger;
  readonly logErrors?: LogErrors;
  /** Types of domain events that rules emit, or that are posted. */
  readonly posted?: readonly string[];
  /** What `send()` reaches. */
  readonly reach?: (bus: Bus) => Endpoints;
  /** Puts something between the automations and the bus. */
  readonly through?: (bus: Bus) => Bus;
}

export async function startWorker({
  url,
  automations,
  through,
  reach,
  log = silentLogger,
  ...options
}: WorkerOptions): Promise<Worker> {
  const stopping = new AbortController();
  const bus = await openJetStreamBus({
    servers: [url],
    replicas: 1,
    fsync: "always",
    log,
    signal: stopping.signal,
  });
  const metrics = new Counts();
  const running = runAutomations({
    bus: through?.(bus) ?? bus,
    reach: reach?.(bus),
    automations,
    log,
    metrics,
    clock: realClock,
    logEvents: false,
    logErrors: "message",
    signal: stopping.signal,
    ...options,
  });
  const stop = async (): Promise<void> => {
    stopping.abort();
    await running.settled;
    await bus[Symbol.asyncDispose]();
  };
  const kill = async (): Promise<void> => {
    await bus[Symbol.asyncDispose]();
    stopping.abort();
  };
  return { bus, running, metrics, stop, kill, [Symbol.asyncDispose]: stop };
}
