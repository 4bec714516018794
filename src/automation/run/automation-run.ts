// One automation at work: a subscription for each of its sources, kept up for ever, and one deliverer for all of them.

import type { ConsumeOptions, Delivery, Obstacle, StreamGap, Subscription } from "../../bus/bus.ts";
import { backoffMs } from "../../clock.ts";
import { MillraceError, TransientError, toError } from "../../errors.ts";
import type { Asked } from "../../event/control.ts";
import { retrySubject } from "../../event/retry-message.ts";
import { retryId, type SourceId, sourceOfStream, streamName, systemId } from "../../event/source-id.ts";
import type { Reason } from "../../telemetry/reason.ts";
import type { Automation } from "../define/automation.ts";
import type { TriggerConfig } from "../define/trigger.ts";
import { sweepAttempts, sweepCarried } from "../deliver/attempts.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import { Deliverer } from "../deliver/deliverer.ts";
import type { Stint } from "../deliver/job.ts";
import type { SettledEvents } from "../deliver/settled-events.ts";
import { MOST_IN_HAND } from "../order/held-events.ts";
import { keysHeldUp } from "../order/held-up.ts";
import { LaneDelivery } from "../order/lane-delivery.ts";
import { ORDERED_ACK_WAIT_MS, OrderedHand } from "../order/ordered-hand.ts";
import { isRetry } from "../outcome/outcome.ts";
import { mayPass } from "../outcome/unavailable.ts";
import { Ticker } from "../schedule/ticker.ts";
import { lookForMissed, type MissedContext, tellGone, watchMissed } from "./missed.ts";
import { pausedReason, type Steered, type Steering } from "./steering.ts";
import { filtersBySource } from "./tx-databases.ts";

/** For so long what waits in MILLRACE_RETRY waits for a source's stream that is not there yet. */
const SOURCES_FIRST_MS = 5000;
const reconnect = { minMs: 250, maxMs: 10_000 };

type State = "starting" | "waiting" | "running" | "paused" | "retrying" | "failed" | "stopped";

/** How the subscription to one source stands. */
interface Standing {
  readonly state: State;
  readonly error?: Error;
  readonly subscription?: Subscription;
}

interface Subscribed {
  readonly source: SourceId;
  readonly subscription: Subscription;
}

/** An automation as it is now. */
export interface AutomationStatus {
  readonly id: string;
  /** It does nothing, and records what it would have done. */
  readonly shadow?: true;
  /**
   * `starting` until it listens to all of its streams, `waiting` once the bus has said that one of them does not exist yet,
   * `retrying` while the bus is away, or what handlers need; `failed` needs a person.
   */
  readonly state: State;
  readonly reason?: Reason & { readonly hint?: string | undefined };
  /** Handlers that run now, and those of them that have ignored their timeout; each holds a place of `concurrency`. */
  readonly running: number;
  readonly hanging: number;
  /** For how long the oldest of the others has run, and how long it may. */
  readonly runningMs: number;
  readonly timeoutMs: number;
  /** Events in hand. */
  readonly held: number;
  /** Of one with `order: "key"`: keys that stand still until a person says what to do, since when, and events put aside. */
  readonly keys?: { readonly blocked: number; readonly oldestBlockedMs: number; readonly parked: number };
  /** For how long the oldest outcome could not be told to the bus. */
  readonly settlingMs: number;
  /** What keeps it from what waits, though nothing of it is broken. */
  readonly obstacle?: Obstacle;
  /** Who paused it, and when. */
  readonly paused?: Asked;
  /** Of one with a schedule, when it is due next, RFC 3339. */
  readonly nextDue?: string;
  /** The newest gap that it went on behind since it was started, and how long ago that was. */
  readonly gap?: StreamGap & { readonly source: SourceId; readonly agoMs: number };
}

/** Events that wait for an automation. */
export interface Depth {
  /** Not yet handed out. */
  readonly pending: number;
  /** Handed out, and not settled. */
  readonly unacked: number;
  /** In MILLRACE_RETRY: for a long retry, or as part of a replay. */
  readonly later: number;
}
export const NOTHING: Depth = { pending: 0, unacked: 0, later: 0 };

/** What is said of it while the worker waits for the bus. */
export function waitingStatus(automation: Automation): AutomationStatus {
  const reason = { code: "BUS_DISCONNECTED", message: "it begins once the bus is there" };
  const { timeoutMs } = automation;
  const none = { running: 0, hanging: 0, runningMs: 0, held: 0, settlingMs: 0 };
  return { ...named(automation), state: "starting", reason, ...none, timeoutMs };
}

function named({ id, shadow }: Automation): Pick<AutomationStatus, "id" | "shadow"> {
  return { id, ...(shadow && { shadow }) };
}

export interface AutomationRunOptions extends AutomationParts, TriggerConfig {
  /** Resolves when it may read a source's stream, or with the signal. @throws TransientError while it may not, ConfigError */
  readonly admit: (source: SourceId, signal: AbortSignal, automation: Automation) => Promise<void>;
  readonly steering: Steering;
  /** Go on, once, behind what was missed before the start. */
  readonly adopt: boolean;
  /** How often it is looked for what left the stream unseen. */
  readonly missedLookMs: number;
  /** Whether the clock fires its schedule, or somebody else gives its events. */
  readonly schedules: "run" | "given";
}

export class AutomationRun {
  /** Resolves when the automation has stopped and drained; never rejects. */
  readonly settled: Promise<void>;
  readonly #options: AutomationRunOptions;
  readonly #deliverer: Deliverer;
  readonly #steered: Steered;
  readonly #failing = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sources = new Map<SourceId, Standing>();
  /** Of an ordered one, what it has in hand of each stream. */
  readonly #hands = new Map<SourceId, OrderedHand>();
  readonly #filters: ReadonlyMap<SourceId, readonly string[]>;
  /** What the bus refuses while it runs. */
  readonly #denied = new Map<string, Obstacle>();
  /** Sources that it never had a durable on, and what aborts when there is none left. */
  readonly #toOpen: Set<SourceId>;
  readonly #listening = new AbortController();
  /** Of one with a schedule; it begins once there is a durable that gets what it fires. */
  readonly #ticker: Ticker | undefined;
  #ticking: Promise<void> | undefined;
  #failure: Error | undefined;
  #gap: { readonly at: StreamGap & { readonly source: SourceId }; readonly sinceMs: number } | undefined;

  constructor(options: AutomationRunOptions) {
    const { automation, ackWaitMs } = options;
    this.#options = automation.order ? { ...options, ackWaitMs: Math.min(ackWaitMs, ORDERED_ACK_WAIT_MS) } : options;
    this.#filters = new Map([
      ...filtersBySource(options.automation.triggers, options),
      [retryId, [retrySubject(options.automation.id)]],
    ]);
    this.#toOpen = new Set([...this.#filters.keys()].filter((source) => source !== retryId));
    this.#signal = AbortSignal.any([options.signal, this.#failing.signal]);
    this.#steered = options.steering.of(options.automation.id, this.#signal);
    this.#deliverer = new Deliverer({
      ...this.#options,
      signal: this.#signal,
      fresh: (now) => this.#steered.freshAt(now),
      failed: (error) => this.#fail(error),
      denied: (error) => this.#deny("outcomes", error),
      blockKey: (delivery, why) => delivery instanceof LaneDelivery && delivery.block(why),
    });
    this.#ticker = this.#tickerOf(options);
    this.#steered.onLook = () => this.#deliverer.wake();
    this.settled = this.#run();
  }

  get id(): string {
    return this.#options.automation.id;
  }

  status(): AutomationStatus {
    const sources = [...this.#sources.values()];
    const worst = ["retrying", "waiting", "starting", "running"].flatMap(
      (state) => sources.find((one) => one.state === state) ?? [],
    );
    const obstacle = [
      ...this.#denied.values(),
      ...sources.flatMap(({ subscription }) => subscription?.obstacle() ?? []),
      ...keysHeldUp(this.id, [...this.#hands.values()]),
      ...waitsAlone(this.#options.solitude.waitingMs),
      ...waitsForEndpoint(this.#deliverer.waitsFor()),
    ][0];
    const away = this.#deliverer.away();
    const { control } = this.#steered;
    const paused = control && pausedReason(this.id, control);
    const next = this.#ticker?.next;
    const { state, error }: Standing = (this.#failure && { state: "failed", error: this.#failure }) ??
      (paused && { state: "paused", error: paused }) ??
      (away && { state: "retrying", error: away }) ??
      worst[0] ?? { state: "stopped" };
    return {
      ...named(this.#options.automation),
      state,
      ...this.#deliverer.counts(),
      ...this.#keys(),
      timeoutMs: this.#options.automation.timeoutMs,
      ...(obstacle && { obstacle }),
      ...(control?.paused && { paused: control.paused }),
      ...(next !== undefined && { nextDue: new Date(next).toISOString() }),
      ...(this.#gap && { gap: { ...this.#gap.at, agoMs: this.#options.clock.now() - this.#gap.sinceMs } }),
      ...(error && {
        reason: {
          code: error instanceof MillraceError || isRetry(error) ? error.code : "BUG",
          message: error.message,
          hint: error instanceof MillraceError ? error.hint : undefined,
        },
      }),
    };
  }

  /** What waits for this automation. @throws MillraceError */
  async depth(): Promise<Depth> {
    const sum: { -readonly [Part in keyof Depth]: number } = { ...NOTHING };
    const one = async ([source, { subscription }]: [SourceId, Standing]): Promise<void> => {
      const { pending = 0, unacked = 0 } = (await subscription?.depth()) ?? {};
      if (source === retryId) {
        sum.later += pending + unacked;
        return;
      }
      sum.pending += pending;
      sum.unacked += unacked;
    };
    await Promise.all([...this.#sources].map(one));
    return sum;
  }

  async #run(): Promise<void> {
    const { automation } = this.#options;
    const newest = await Promise.all([...this.#filters].map(([source, filters]) => this.#subscribe(source, filters)));
    await this.#ticking;
    await this.#deliverer.drain();
    for (const hand of this.#hands.values()) hand.retire();
    // So that what was settled last counts, should the stream drop it before the next start.
    if (this.#options.bus.connected()) await Promise.allSettled(newest.map((of) => of && this.#account(of)));
    this.#options.log.info("automation_stopped", { automation: automation.id });
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

  async #account({ source, subscription }: Subscribed): Promise<void> {
    await subscription.missed();
    await this.#settled(source)?.share(subscription.settledThrough());
  }

  /** It has a durable there. */
  #opened(source: SourceId): void {
    this.#toOpen.delete(source);
    if (source === systemId) this.#ticking ??= this.#ticker?.run().catch((error: unknown) => this.#fail(error));
    if (this.#toOpen.size === 0) this.#listening.abort();
  }

  /**
   * Consumes one source until the signal, stint after stint; while the bus is away it tries again. Resolves to the newest
   * subscription.
   */
  async #subscribe(source: SourceId, filters: readonly string[]): Promise<Subscribed | undefined> {
    const { automation, bus, clock, log } = this.#options;
    let start: ConsumeOptions["start"] = source === retryId ? "earliest" : automation.start;
    let goOn = this.#options.adopt || automation.onGap === "continue";
    // What comes while it cannot listen yet is new to it, and stays so when it has to begin anew.
    const waiting = (): void => {
      this.#sources.set(source, { state: "waiting" });
      if (start === "now") start = "earliest";
    };
    const settled = this.#settled(source);
    const context = this.#missedContext(source);
    let subscription: Subscription | undefined;
    let stint: Stint | undefined;
    for (let failures = 0; !this.#signal.aborted; ) {
      try {
        if (failures === 0 && subscription === undefined) this.#sources.set(source, { state: "starting" });
        const now = await this.#steered.stint();
        if (now === undefined) break;
        const next = source === retryId ? besideSeeks(automation.id, now) : now;
        if (next.durable !== (stint?.durable ?? automation.id)) {
          start = next.seek?.starts[streamName(source)] ?? "earliest";
          subscription = undefined;
        }
        stint = next;
        const { durable, run } = stint;
        const hand = this.#handFor(source, stint);
        const ordered = hand && { most: MOST_IN_HAND, inHand: () => hand.inHand() };
        const late = start === "now" && source !== systemId && (await bus.keepsForMs(source)) === undefined;
        if (late) waiting();
        if (source !== retryId) await this.#options.admit(source, stint.signal, automation);
        // Whoever sees it listen there may take it that it listens to its sources.
        else await clock.sleep(SOURCES_FIRST_MS, AbortSignal.any([stint.signal, this.#listening.signal]));
        hand?.giveBack();
        subscription = await bus.consume({
          source,
          durable,
          run,
          filters,
          start,
          minPending: automation.concurrency * 2,
          ackWaitMs: this.#options.ackWaitMs,
          signal: stint.signal,
          ...(ordered && { ordered }),
          waiting,
        });
        this.#sources.set(source, { state: "starting", subscription });
        this.#opened(source);
        const { madeAgain: why } = subscription;
        if (why !== undefined) {
          const message = "its durable was made again, or put right: it goes on where all before is settled";
          log.warn("automation_durable_mended", { automation: automation.id, source, why }, message);
        }
        await settled?.learn();
        await this.#deliverer.lookOnRecord();
        await lookForMissed(context, subscription, goOn);
        goOn = automation.onGap === "continue";
        this.#sources.set(source, { state: "running", subscription });
        failures = 0;
        log.info("automation_started", { automation: automation.id, source });
        const ended = new AbortController();
        const signal = AbortSignal.any([stint.signal, ended.signal]);
        const watching = watchMissed({ ...context, durable }, subscription, {
          goOn,
          everyMs: this.#options.missedLookMs,
          signal,
        });
        watching.catch((error: unknown) => this.#fail(error));
        try {
          for await (const deliveries of subscription) {
            if (hand !== undefined) hand.take(subscription, deliveries);
            else for (const delivery of deliveries) this.#take(source, delivery, stint);
          }
        } finally {
          ended.abort();
          if (stint.signal.aborted) {
            this.#deliverer.giveBack(source, stint);
            hand?.retire();
          }
          if (stint.replaced && bus.connected()) await hand?.abandon().catch(unlessAway);
          // Should the record be lost with the durable, the next one begins where nothing is left out.
          if (subscription.settledThrough() > 0) start = subscription.settledThrough() + 1;
          // Also for the others, should that be why it ended.
          if (stint.replaced) subscription.abandon();
          else if (bus.connected()) await settled?.share(subscription.settledThrough()).catch(unlessAway);
        }
      } catch (error) {
        if (this.#signal.aborted) break;
        if (stint?.signal.aborted) continue;
        if (!mayPass(error)) {
          this.#fail(error);
          break;
        }
        this.#sources.set(source, { state: "retrying", error, ...(subscription && { subscription }) });
        failures++;
        const { code, hint, message } = error;
        log.warn("automation_failed", { automation: automation.id, source, code, hint }, message);
        await clock.sleep(backoffMs(reconnect, failures), this.#signal);
      }
    }
    // What waits for one that failed is asked for on.
    if (this.#failure === undefined) this.#sources.delete(source);
    return subscription && { source, subscription };
  }

  /** What is known to be settled of a stream; what comes out of MILLRACE_RETRY is settled where its event stands. */
  #settled(source: SourceId): SettledEvents | undefined {
    return source === retryId ? undefined : this.#deliverer.settledOf(source);
  }

  #take(source: SourceId, delivery: Delivery, stint: Stint): void {
    const early = (delivery.carried?.dueAt ?? 0) > this.#options.clock.wall();
    // A replay of an ordered one has its place in the lane of its key.
    const hand = early || source !== retryId ? undefined : this.#hands.get(sourceOfStream(delivery.stream) ?? source);
    if (hand === undefined) this.#deliverer.take(source, delivery, stint);
    else hand.takeCarried(delivery);
  }

  /** Of an ordered one, what it has in hand of a stream: another hand for each stint, the one before ends what it has begun. */
  #handFor(source: SourceId, stint: Stint): OrderedHand | undefined {
    if (this.#options.automation.order === undefined || source === retryId) return undefined;
    const known = this.#hands.get(source);
    if (known?.signal === stint.signal) return known;
    known?.retire();
    const hand = new OrderedHand({
      ...this.#options,
      source,
      durable: stint.durable,
      signal: stint.signal,
      begin: (delivery, ended) => this.#deliverer.take(source, delivery, stint, ended),
      persist: (operation) => this.#deliverer.persist(operation),
      failed: (error) => this.#fail(error),
      tellGone: (sequence) => tellGone(this.#missedContext(source), { first: sequence, last: sequence }),
    });
    this.#hands.set(source, hand);
    return hand;
  }

  /** Events in hand, and what is said of keys in order. */
  #keys(): Pick<AutomationStatus, "held" | "keys"> | undefined {
    if (this.#hands.size === 0) return undefined;
    const counts = [...this.#hands.values()].map((hand) => hand.counts());
    const blocked = counts.flatMap((one) => one.blocked);
    return {
      held: counts.reduce((sum, one) => sum + one.held, 0),
      keys: {
        blocked: blocked.length,
        parked: counts.reduce((sum, one) => sum + one.parked, 0),
        oldestBlockedMs: blocked.length === 0 ? 0 : Math.max(0, this.#options.clock.wall() - Math.min(...blocked)),
      },
    };
  }

  #missedContext(source: SourceId): MissedContext {
    const { automation, bus, clock, log, metrics } = this.#options;
    const onMissed = (gap: StreamGap): void => {
      metrics.missed(automation.id);
      this.#gap = { at: { ...gap, source }, sinceMs: this.#options.clock.now() };
    };
    const settled = this.#settled(source);
    const sweep = async (through: number): Promise<void> => {
      if (settled === undefined) return sweepCarried(bus, automation.id);
      await settled.share(through);
      await settled.sweep(through);
      await sweepAttempts(bus.state, automation.id, source, through);
    };
    const denied = (error: Error | undefined): void => this.#deny(source, error);
    return { automation: automation.id, durable: automation.id, source, bus, clock, log, sweep, onMissed, denied };
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

/** What waits in MILLRACE_RETRY is handed out by the same durable behind a seek. */
function besideSeeks(durable: string, { seek, signal }: Stint): Stint {
  return { durable, run: undefined, seek, signal, replaced: false };
}

function unlessAway(error: unknown): void {
  if (!(error instanceof TransientError)) throw error;
}

/** As long as nobody asks why no handler starts. */
const ALONE_MS = 30_000;

/** Behind an endpoint that is paused. */
function waitsForEndpoint(why: string | undefined): readonly Obstacle[] {
  return why === undefined ? [] : [{ code: "AUTOMATION_ENDPOINT_PAUSED", message: why }];
}

/** All automations of the process wait then. */
function waitsAlone(waitingMs: number): readonly Obstacle[] {
  if (waitingMs < ALONE_MS) return [];
  const message = `for ${Math.round(waitingMs / 1000)} s no handler of this worker starts: an event that may have ended the process is tried alone, and waits for those that run, or they for it`;
  return [{ code: "AUTOMATION_WAITS_ALONE", message }];
}
