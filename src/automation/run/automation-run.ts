// One automation at work: a listener for each of its sources, one deliverer for all of them, and how it is.

import type { Obstacle, StreamGap } from "../../bus/subscription.ts";
import { MillraceError, toError } from "../../errors.ts";
import { retrySubject } from "../../event/retry-message.ts";
import { retryId, type SourceId, systemId } from "../../event/source-id.ts";
import type { TriggerConfig } from "../define/trigger.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import { Deliverer } from "../deliver/deliverer.ts";
import { LaneDelivery } from "../order/lane-delivery.ts";
import { ORDERED_ACK_WAIT_MS } from "../order/ordered-hand.ts";
import { Ticker } from "../schedule/ticker.ts";
import {
  type AutomationState,
  type AutomationStatus,
  type Depth,
  NOTHING,
  named,
  stateReason,
  waitsAlone,
  waitsForEndpoint,
} from "./automation-status.ts";
import { Hands } from "./hands.ts";
import { type ListenOptions, SourceListener, type Standing } from "./source-listener.ts";
import { pausedReason, type Steered, type Steering } from "./steering.ts";
import { filtersBySource } from "./tx-databases.ts";

/** Of how its sources stand, the one that is said of all, the worst first. */
const worstFirst: readonly AutomationState[] = ["retrying", "waiting", "starting", "running"];

export interface AutomationRunOptions extends AutomationParts, TriggerConfig, ListenOptions {
  readonly steering: Steering;
  /** Whether the clock fires its schedule, or somebody else gives its events. */
  readonly schedules: "run" | "given";
}

export class AutomationRun {
  /** Resolves when the automation has stopped and drained; never rejects. */
  readonly settled: Promise<void>;
  readonly #options: AutomationRunOptions;
  readonly #deliverer: Deliverer;
  readonly #hands: Hands;
  readonly #steered: Steered;
  readonly #failing = new AbortController();
  readonly #signal: AbortSignal;
  /** Those that listen, or have failed. */
  readonly #listeners: Map<SourceId, SourceListener>;
  /** What the bus refuses while it runs. */
  readonly #denied = new Map<string, Obstacle>();
  /** Sources that it never had a durable on, and what aborts when there is none left. */
  readonly #toOpen: Set<SourceId>;
  readonly #allOpened = new AbortController();
  /** Of one with a schedule; it begins once there is a durable that gets what it fires. */
  readonly #ticker: Ticker | undefined;
  #ticking: Promise<void> | undefined;
  #failure: Error | undefined;
  #gap: { readonly at: StreamGap & { readonly source: SourceId }; readonly sinceMs: number } | undefined;

  constructor(options: AutomationRunOptions) {
    const { automation, ackWaitMs } = options;
    this.#options = automation.order ? { ...options, ackWaitMs: Math.min(ackWaitMs, ORDERED_ACK_WAIT_MS) } : options;
    this.#signal = AbortSignal.any([options.signal, this.#failing.signal]);
    this.#steered = options.steering.of(automation.id, this.#signal);
    this.#deliverer = new Deliverer({
      ...this.#options,
      signal: this.#signal,
      fresh: (now) => this.#steered.freshAt(now),
      failed: (error) => this.#fail(error),
      denied: (error) => this.#deny("outcomes", error),
      blockKey: (delivery, why) => delivery instanceof LaneDelivery && delivery.block(why),
    });
    this.#hands = new Hands({
      ...this.#options,
      begin: (source, stint, delivery, follower) => this.#deliverer.take(source, delivery, stint, follower),
      persist: (operation) => this.#deliverer.persist(operation),
      failed: (error) => this.#fail(error),
    });
    const filters = filtersBySource(automation.triggers, options);
    this.#toOpen = new Set(filters.keys());
    this.#listeners = new Map(
      [...filters, [retryId, [retrySubject(automation.id)]] as const].map(([source, of]) => [
        source,
        this.#listenerOf(source, of),
      ]),
    );
    this.#ticker = this.#tickerOf(options);
    this.#steered.onLook = () => this.#deliverer.wake();
    this.settled = this.#run();
  }

  get id(): string {
    return this.#options.automation.id;
  }

  status(): AutomationStatus {
    const listeners = [...this.#listeners.values()];
    const { clock, automation, solitude } = this.#options;
    const standings = listeners.map(({ standing }) => standing);
    const worst = worstFirst.flatMap((state) => standings.find((one) => one.state === state) ?? [])[0];
    const obstacle = [
      ...this.#denied.values(),
      ...listeners.flatMap((one) => one.obstacle() ?? []),
      ...this.#hands.obstacles(),
      ...waitsAlone(solitude.waitingMs),
      ...waitsForEndpoint(this.#deliverer.waitsFor()),
    ][0];
    const away = this.#deliverer.away();
    const { control } = this.#steered;
    const paused = control && pausedReason(this.id, control);
    const next = this.#ticker?.next;
    const { state, error }: Standing = (this.#failure && { state: "failed", error: this.#failure }) ??
      (paused && { state: "paused", error: paused }) ??
      (away && { state: "retrying", error: away }) ??
      worst ?? { state: "stopped" };
    return {
      ...named(automation),
      state,
      ...this.#deliverer.counts(),
      ...this.#hands.status(clock.wall()),
      timeoutMs: automation.timeoutMs,
      ...(obstacle && { obstacle }),
      ...(control?.paused && { paused: control.paused }),
      ...(next !== undefined && { nextDue: new Date(next).toISOString() }),
      ...(this.#gap && { gap: { ...this.#gap.at, agoMs: clock.now() - this.#gap.sinceMs } }),
      ...(error && { reason: stateReason(error) }),
    };
  }

  /** What waits for this automation. @throws MillraceError */
  async depth(): Promise<Depth> {
    const sum: { -readonly [Part in keyof Depth]: number } = { ...NOTHING };
    const one = async ([source, { standing }]: [SourceId, SourceListener]): Promise<void> => {
      const { pending = 0, unacked = 0 } = (await standing.subscription?.depth()) ?? {};
      if (source === retryId) {
        sum.later += pending + unacked;
        return;
      }
      sum.pending += pending;
      sum.unacked += unacked;
    };
    await Promise.all([...this.#listeners].map(one));
    return sum;
  }

  async #run(): Promise<void> {
    const { automation, bus, log } = this.#options;
    const listeners = [...this.#listeners];
    await Promise.all(listeners.map(([source, listener]) => this.#listen(source, listener)));
    await this.#ticking;
    await this.#deliverer.drain();
    this.#hands.retire();
    if (bus.connected()) await Promise.allSettled(listeners.map(([, listener]) => listener.account()));
    log.info("automation_stopped", { automation: automation.id });
  }

  async #listen(source: SourceId, listener: SourceListener): Promise<void> {
    await listener.listen();
    // What waits for one that failed is asked for on.
    if (this.#failure === undefined) this.#listeners.delete(source);
  }

  #listenerOf(source: SourceId, filters: readonly string[]): SourceListener {
    return new SourceListener({
      ...this.#options,
      ...{ source, filters, steered: this.#steered, deliverer: this.#deliverer, hands: this.#hands },
      signal: this.#signal,
      allOpened: this.#allOpened.signal,
      opened: () => this.#opened(source),
      missed: (gap) => {
        this.#options.metrics.missed(this.id);
        this.#gap = { at: { ...gap, source }, sinceMs: this.#options.clock.now() };
      },
      denied: (error) => this.#deny(source, error),
      failed: (error) => this.#fail(error),
    });
  }

  #tickerOf({ automation, schedules, bus, clock, log, metrics }: AutomationRunOptions): Ticker | undefined {
    const { id, schedule } = automation;
    if (schedule === undefined || schedules === "given") return undefined;
    return new Ticker({
      ...{ automation: id, schedule, bus, clock, log, metrics, signal: this.#signal },
      mayRun: () => {
        if (this.#steered.control?.paused !== undefined) return "paused";
        return this.#steered.freshAt(clock.now()) ? "runs" : "unknown";
      },
      denied: (error) => this.#deny("schedule", error),
    });
  }

  /** It has a durable there. */
  #opened(source: SourceId): void {
    this.#toOpen.delete(source);
    if (source === systemId) this.#ticking ??= this.#ticker?.run().catch((error: unknown) => this.#fail(error));
    if (this.#toOpen.size === 0) this.#allOpened.abort();
  }

  /** @param where the source that was looked at, or all that is to be stored */
  #deny(where: string, error: Error | undefined): void {
    if (error === undefined) this.#denied.delete(where);
    else this.#denied.set(where, { code: "BUS_PERMISSION", message: error.message });
  }

  #fail(thrown: unknown): void {
    const error = toError(thrown);
    this.#failure ??= error;
    const { code, hint } = error instanceof MillraceError ? error : { code: "BUG", hint: undefined };
    this.#options.log.error("automation_failed", { automation: this.#options.automation.id, code, hint });
    this.#failing.abort();
  }
}
