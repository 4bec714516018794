// One source that an automation listens to, or what waits for it in MILLRACE_RETRY: a subscription that is kept up for ever,
// stint after stint, and what it hands out given to the deliverer, or to the hand that keeps it in order.

import type { ConsumeOptions, Delivery, Obstacle, StreamGap, Subscription } from "../../bus/subscription.ts";
import { backoffMs } from "../../clock.ts";
import { type MillraceError, TransientError } from "../../errors.ts";
import { retryId, type SourceId, sourceOfStream, streamName, systemId } from "../../event/source-id.ts";
import type { Automation } from "../define/automation.ts";
import { sweepAttempts, sweepCarried } from "../deliver/attempts.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import type { Deliverer } from "../deliver/deliverer.ts";
import type { Stint } from "../deliver/job.ts";
import type { SettledEvents } from "../deliver/settled-events.ts";
import { MOST_IN_HAND } from "../order/held-events.ts";
import type { OrderedHand } from "../order/ordered-hand.ts";
import { mayPass } from "../outcome/unavailable.ts";
import type { AutomationState } from "./automation-status.ts";
import type { Hands } from "./hands.ts";
import { lookForMissed, type MissedContext, tellGone, watchMissed } from "./missed.ts";
import type { Steered } from "./steering.ts";

/** For so long what waits in MILLRACE_RETRY waits for a source's stream that is not there yet. */
const SOURCES_FIRST_MS = 5000;
const reconnect = { minMs: 250, maxMs: 10_000 };

/** How the subscription to one source stands. */
export interface Standing {
  readonly state: AutomationState;
  readonly error?: Error;
  readonly subscription?: Subscription;
}

/** By what an automation listens to its sources, all of them alike. */
export interface ListenOptions {
  /** Resolves when it may read a source's stream, or with the signal. @throws TransientError while it may not, ConfigError */
  readonly admit: (source: SourceId, signal: AbortSignal, automation: Automation) => Promise<void>;
  /** Go on, once, behind what was missed before the start. */
  readonly adopt: boolean;
  /** How often it is looked for what left the stream unseen. */
  readonly missedLookMs: number;
}

export interface SourceListenerOptions
  extends ListenOptions,
    Pick<AutomationParts, "automation" | "bus" | "clock" | "log" | "ackWaitMs" | "signal"> {
  /** `retryId` for what waits in MILLRACE_RETRY. */
  readonly source: SourceId;
  readonly filters: readonly string[];
  readonly steered: Steered;
  readonly deliverer: Deliverer;
  readonly hands: Hands;
  /** Aborts once the automation has had a durable on each of its sources. */
  readonly allOpened: AbortSignal;
  /** It has a durable there. */
  readonly opened: () => void;
  /** It went on behind a gap. */
  readonly missed: (gap: StreamGap) => void;
  /** The bus refuses to say what left the stream, or does so no more. */
  readonly denied: (error: MillraceError | undefined) => void;
  /** Nothing that a later try can mend; then the signal aborts. */
  readonly failed: (error: unknown) => void;
}

export class SourceListener {
  readonly #options: SourceListenerOptions;
  /** What is known to be settled of the stream; what comes out of MILLRACE_RETRY is settled where its event stands. */
  readonly #settled: SettledEvents | undefined;
  readonly #missed: Omit<MissedContext, "sweep">;
  #standing: Standing = { state: "starting" };
  /** Where a durable begins of which nothing is on record. */
  #start: ConsumeOptions["start"];
  /** Whether to go on behind a gap. */
  #goOn: boolean;
  #stint: Stint | undefined;
  /** The newest one. */
  #subscription: Subscription | undefined;

  constructor(options: SourceListenerOptions) {
    const { automation, source, adopt, deliverer } = options;
    this.#options = options;
    this.#settled = source === retryId ? undefined : deliverer.settledOf(source);
    this.#missed = this.#missedContext();
    this.#start = source === retryId ? "earliest" : automation.start;
    this.#goOn = adopt || automation.onGap === "continue";
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** What keeps it from what waits, by the bus. */
  obstacle(): Obstacle | undefined {
    return this.#standing.subscription?.obstacle();
  }

  /** Consumes the source until the signal; while the bus is away it tries again. Never rejects. */
  async listen(): Promise<void> {
    const { automation, source, steered, clock, log, signal, failed } = this.#options;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (failures === 0 && this.#subscription === undefined) this.#standing = { state: "starting" };
        const now = await steered.stint();
        if (now === undefined) break;
        const stint = this.#enter(now);
        const hand = this.#handOf(stint);
        const subscription = await this.#subscribe(stint, hand);
        failures = 0;
        log.info("automation_started", { automation: automation.id, source });
        await this.#takeAll(subscription, stint, hand);
      } catch (error) {
        if (signal.aborted) break;
        if (this.#stint?.signal.aborted) continue;
        if (!mayPass(error)) {
          failed(error);
          break;
        }
        const subscription = this.#subscription;
        this.#standing = { state: "retrying", error, ...(subscription && { subscription }) };
        failures++;
        const { code, hint, message } = error;
        log.warn("automation_failed", { automation: automation.id, source, code, hint }, message);
        await clock.sleep(backoffMs(reconnect, failures), signal);
      }
    }
  }

  /** Puts on record what was settled last, so that it counts should the stream drop it before the next start. @throws MillraceError */
  async account(): Promise<void> {
    const subscription = this.#subscription;
    if (subscription === undefined) return;
    await subscription.missed();
    await this.#settled?.share(subscription.settledThrough());
  }

  /** The stint that it runs by from now on: that of another durable begins where its seek says. */
  #enter(now: Stint): Stint {
    const { automation, source } = this.#options;
    const next = source === retryId ? besideSeeks(automation.id, now) : now;
    if (next.durable !== (this.#stint?.durable ?? automation.id)) {
      this.#start = next.seek?.starts[streamName(source)] ?? "earliest";
      this.#subscription = undefined;
    }
    this.#stint = next;
    return next;
  }

  /** Resolves once there is a durable, and what left the stream before it is told. @throws MillraceError */
  async #subscribe(stint: Stint, hand: OrderedHand | undefined): Promise<Subscription> {
    const { automation, bus, clock, log, source, filters, deliverer } = this.#options;
    const { durable, run } = stint;
    const ordered = hand && { most: MOST_IN_HAND, inHand: () => hand.inHand() };
    const late = this.#start === "now" && source !== systemId && (await bus.keepsForMs(source)) === undefined;
    if (late) this.#wait();
    if (source !== retryId) await this.#options.admit(source, stint.signal, automation);
    // Whoever sees it listen there may take it that it listens to its sources.
    else await clock.sleep(SOURCES_FIRST_MS, AbortSignal.any([stint.signal, this.#options.allOpened]));
    hand?.giveBack();
    const subscription = await bus.consume({
      source,
      durable,
      run,
      filters,
      start: this.#start,
      minPending: automation.concurrency * 2,
      ackWaitMs: this.#options.ackWaitMs,
      signal: stint.signal,
      ...(ordered && { ordered }),
      waiting: () => this.#wait(),
    });
    this.#subscription = subscription;
    this.#standing = { state: "starting", subscription };
    this.#options.opened();
    const { madeAgain: why } = subscription;
    if (why !== undefined) {
      const message = "its durable was made again, or put right: it goes on where all before is settled";
      log.warn("automation_durable_mended", { automation: automation.id, source, why }, message);
    }
    await this.#settled?.learn();
    await deliverer.lookOnRecord();
    await lookForMissed(this.#missed, subscription, this.#goOn);
    this.#goOn = automation.onGap === "continue";
    this.#standing = { state: "running", subscription };
    return subscription;
  }

  /** There is no such stream yet. What comes until it can listen is new to it, and stays so when it has to begin anew. */
  #wait(): void {
    this.#standing = { state: "waiting" };
    if (this.#start === "now") this.#start = "earliest";
  }

  /** Takes what is handed out, until the stint or the subscription is over. @throws MillraceError */
  async #takeAll(subscription: Subscription, stint: Stint, hand: OrderedHand | undefined): Promise<void> {
    const { bus, source, deliverer, missedLookMs: everyMs, failed } = this.#options;
    const ended = new AbortController();
    const signal = AbortSignal.any([stint.signal, ended.signal]);
    const sweep = (through: number): Promise<void> => this.#sweep(through, stint);
    const looked = { ...this.#missed, durable: stint.durable, sweep };
    watchMissed(looked, subscription, { goOn: this.#goOn, everyMs, signal }).catch(failed);
    try {
      for await (const deliveries of subscription) {
        if (hand !== undefined) hand.take(subscription, deliveries);
        else for (const delivery of deliveries) this.#take(delivery, stint);
      }
    } finally {
      ended.abort();
      if (stint.signal.aborted) {
        deliverer.giveBack(source, stint);
        hand?.retire();
      }
      if (stint.replaced && bus.connected()) await hand?.abandon().catch(unlessAway);
      // Should the record be lost with the durable, the next one begins where nothing is left out.
      if (subscription.settledThrough() > 0) this.#start = subscription.settledThrough() + 1;
      // Also for the others, should that be why it ended.
      if (stint.replaced) subscription.abandon();
      else if (bus.connected()) await this.#settled?.share(subscription.settledThrough()).catch(unlessAway);
    }
  }

  #take(delivery: Delivery, stint: Stint): void {
    const { source, clock, deliverer, hands } = this.#options;
    const early = (delivery.carried?.dueAt ?? 0) > clock.wall();
    // A replay of an ordered one has its place in the lane of its key.
    const hand = early || source !== retryId ? undefined : hands.of(sourceOfStream(delivery.stream) ?? source);
    if (hand === undefined) deliverer.take(source, delivery, stint);
    else hand.takeCarried(delivery);
  }

  /** Of an ordered one, what it has in hand of the stream. */
  #handOf(stint: Stint): OrderedHand | undefined {
    const { automation, source, hands } = this.#options;
    if (automation.order === undefined || source === retryId) return undefined;
    return hands.during(stint, source, (sequence) => tellGone(this.#missed, { first: sequence, last: sequence }));
  }

  #missedContext(): Omit<MissedContext, "sweep"> {
    const { automation, source, bus, clock, log, missed: onMissed, denied } = this.#options;
    return { automation: automation.id, durable: automation.id, source, bus, clock, log, onMissed, denied };
  }

  /** @param through all up to here is settled, of what the stint's durables hand out */
  async #sweep(through: number, { seek }: Stint): Promise<void> {
    const { automation, source, bus } = this.#options;
    if (this.#settled === undefined) return sweepCarried(bus, automation.id);
    await this.#settled.share(through);
    await this.#settled.sweep(through);
    await sweepAttempts(bus.state, automation.id, source, { through, seek });
  }
}

/** What waits in MILLRACE_RETRY is handed out by the same durable behind a seek. */
function besideSeeks(durable: string, { seek, signal }: Stint): Stint {
  return { durable, run: undefined, seek, signal, replaced: false };
}

function unlessAway(error: unknown): void {
  if (!(error instanceof TransientError)) throw error;
}
