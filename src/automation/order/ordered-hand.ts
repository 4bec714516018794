// What one automation has in hand of one stream, in order by key: the first of each key goes to its handler and keeps its
// place until the bus has confirmed its end, or it is on record; retries of it are made in place.
//
// What holds: an event begins only while the subscription is whole, that is while all that the bus counts as handed out is in
// this hand (bus/jetstream/consumer/gathering.ts), and only as the first of its lane. All before it in its lane is then settled,
// parked on record behind an event in this hand, or in this hand before it. What is let go keeps its place as `owed` until it
// has come again, or the whole hand is given back.

import type { Delivery, Subscription } from "../../bus/subscription.ts";
import { type SourceId, streamName } from "../../event/source-id.ts";
import { AttemptsRecord } from "../deliver/attempts.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import type { Block } from "../deliver/job.ts";
import { mayPass } from "../outcome/unavailable.ts";
import { type BlockedKey, BlockedKeys } from "./blocked-keys.ts";
import { HeldEvents } from "./held-events.ts";
import { KeyLanes } from "./key-lanes.ts";
import { LaneDelivery, type LaneHold } from "./lane-delivery.ts";
import { handedOut, idHashOf, type LaneEvent } from "./lane-event.ts";
import { Parking } from "./parking.ts";

/** Short, so that the keys of a worker that died go on within seconds. */
export const ORDERED_ACK_WAIT_MS = 6000;
/** After which a replay is handed out once more, that came to a worker which has not its stream in hand. */
const elsewhereMs = 500;
/** How often it is looked for what a person has said of blocked keys. */
const askMs = 1000;

export interface OrderedHandOptions
  extends Pick<AutomationParts, "automation" | "bus" | "clock" | "signal" | "ackWaitMs"> {
  readonly source: SourceId;
  /** The durable's name: another one behind a seek. */
  readonly durable: string;
  /** Hands an event to its handler; the callback is called once nothing more is done for it. */
  readonly begin: (delivery: LaneDelivery, ended: () => void) => void;
  /** Repeats an operation while the bus is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
  /** Nothing that a later try can mend. */
  readonly failed: (error: unknown) => void;
  /** A parked event is not in the stream any more: on record, before its key goes on. */
  readonly tellGone: (sequence: number) => Promise<void>;
}

export class OrderedHand {
  readonly lanes = new KeyLanes<LaneEvent>();
  readonly #held = new HeldEvents();
  readonly #bySequence = new Map<number, LaneEvent>();
  /** Out of MILLRACE_RETRY: replays, which go behind what is in their lane. */
  readonly #carried = new Set<LaneEvent>();
  readonly #blocked = new Map<string, { readonly event: LaneEvent; readonly since: number }>();
  readonly #records: BlockedKeys;
  readonly #parking: Parking;
  readonly #options: OrderedHandOptions;
  #retired = false;
  #subscription: Subscription | undefined;
  /** Outcomes that the bus has been told and has not confirmed. */
  #telling = 0;
  #begun = 0;
  #asking = false;

  constructor(options: OrderedHandOptions) {
    this.#options = options;
    const { bus, automation, durable, source } = options;
    this.#records = new BlockedKeys(bus.state, automation.id, durable, source);
    this.#parking = new Parking({ ...options, hand: this });
    void this.#keepAlive();
  }

  /** For the bus: what is in hand of what it handed out; undefined while it is told of one. */
  inHand(): number | undefined {
    return this.#telling > 0 ? undefined : this.#held.size;
  }

  /** Events in hand, those parked, and since when which keys are blocked, ms since 1970. */
  counts(): {
    readonly held: number;
    readonly parked: number;
    readonly full: boolean;
    readonly blocked: readonly number[];
  } {
    const parked = this.#parking.count;
    const full = this.#held.full && this.#begun === 0;
    return { held: this.#held.size, parked, full, blocked: [...this.#blocked.values()].map(({ since }) => since) };
  }

  /** Of the time for which it takes what comes. */
  get signal(): AbortSignal {
    return this.#options.signal;
  }

  get whole(): number | undefined {
    return this.#subscription?.whole;
  }

  /** Takes over what a subscription hands out; also nothing, when it is whole now. Never waits and never throws. */
  take(subscription: Subscription, deliveries: readonly Delivery[]): void {
    if (this.#subscription !== subscription) this.#parking.forget();
    this.#subscription = subscription;
    for (const delivery of deliveries) this.#receive(delivery);
    this.relieve();
    this.advance();
  }

  /** Takes over a replay of an event of this stream: by whoever has the stream in hand. */
  takeCarried(delivery: Delivery): void {
    const has = [...this.#carried].find(
      ({ inner }) => inner?.run === delivery.run && inner?.sequence === delivery.sequence,
    );
    const event = handedOut(delivery);
    const lane = this.lanes.lane(event.lane);
    // Parked ones hang on an event of the stream before them.
    const waits = this.whole === undefined || lane.some(({ parked, state }) => parked || state === "parking");
    if (has?.inner !== undefined && has.inner.carried?.at === delivery.carried?.at) delivery.succeed(has.inner);
    else if (has !== undefined || waits) delivery.retry(elsewhereMs);
    else {
      const last = { ...event, rank: Math.max(0, ...lane.map(({ rank }) => rank)) };
      this.#carried.add(last);
      this.lanes.add(last);
      this.advance();
    }
  }

  /** Gives back all that has not begun: its subscription is over. What has begun ends as it can. */
  giveBack(): void {
    this.#subscription = undefined;
    for (const event of [...this.#bySequence.values(), ...this.#held.all(), ...this.#carried]) {
      event.dropped = true;
      event.chained = this.#parking.has(event.lane);
    }
    for (const event of [...this.#bySequence.values(), ...this.#carried]) {
      if (event.state !== "begun" && event.state !== "parking") this.letGo(event);
    }
    // What is settled and still in hand holds its lane; one whose next runs here ends with it.
    for (const { lane, sequence } of this.#held.all()) {
      if (!this.#bySequence.has(sequence) && this.lanes.lane(lane).length === 0) this.#parking.letGo(lane);
    }
  }

  relieve(): void {
    if (this.#held.filled > 3 / 4 && this.whole !== undefined) this.#parking.makeRoom();
  }

  /** Nothing more is taken: what has begun is kept alive until it has ended. */
  retire(): void {
    this.#retired = true;
    this.giveBack();
  }

  /** Forgets what is parked and blocked: a seek hands all of it out again, or passes it over. @throws TransientError */
  async abandon(): Promise<void> {
    for (const prefix of [this.#parking.prefix, this.#records.prefix]) {
      for (const key of await this.#options.bus.state.keys(prefix)) await this.#options.bus.state.delete(key);
    }
  }

  #receive(delivery: Delivery): void {
    const known = this.#bySequence.get(delivery.sequence) ?? this.#held.get(delivery.sequence);
    if (known !== undefined && known.idHash !== idHashOf(delivery)) {
      // Its number is another event's since the bus was set back: until that one is out of the way.
      if (known.state !== "begun") this.letGo(known);
      delivery.retry(elsewhereMs);
    } else if (known?.inner !== undefined) {
      delivery.succeed(known.inner);
    } else if (known?.parked) {
      void this.tell(known, delivery, undefined).catch(() => {}); // on record: it comes again until the bus knows
    } else if (this.#options.signal.aborted) {
      delivery.retry(0);
    } else if (known !== undefined) {
      known.inner = delivery;
      this.#held.set(known);
      if (known.state === "owed") this.#putBack(known);
    } else {
      const event = handedOut(delivery);
      this.#held.set(event);
      this.add(event);
    }
  }

  add(event: LaneEvent): void {
    this.#bySequence.set(event.sequence, event);
    this.lanes.add(event);
  }

  find(sequence: number): LaneEvent | undefined {
    return this.#bySequence.get(sequence);
  }

  /** Begins what may begin. */
  advance(): void {
    const { signal, automation } = this.#options;
    if (this.whole === undefined || signal.aborted || !this.#parking.isLoaded(this.whole)) return;
    while (this.#begun < 2 * automation.concurrency) {
      const event = this.lanes.take();
      if (event === undefined) return;
      if (event.state !== "waiting") continue; // on its way to the record
      event.state = "begun";
      this.#begun++;
      void this.#begin(event);
    }
  }

  async #begin(event: LaneEvent): Promise<void> {
    try {
      if (event.settled) {
        await this.#settle(event, undefined);
        this.#ended(event, true);
        return;
      }
      const message = event.inner ?? (await this.#parking.read(event));
      if (message === undefined) {
        await this.#options.persist(() => this.#options.tellGone(event.sequence));
        await this.#settle(event, undefined);
        this.#ended(event, true);
        return;
      }
      const delivery = new LaneDelivery(message, event.inner, streamName(this.#options.source), this.#holdOf(event));
      event.delivery = delivery;
      this.#options.begin(delivery, () => this.#ended(event, delivery.settled));
      event.again = true;
    } catch (error) {
      // The subscription is over, or the bus is closed.
      this.#ended(event, false);
      if (!mayPass(error)) this.#options.failed(error);
    }
  }

  #holdOf(event: LaneEvent): LaneHold {
    const hand = this;
    const { automation } = this.#options;
    const again = event.again || (event.inner?.again ?? true);
    return {
      get ours() {
        return hand.#isOurs(event);
      },
      get free() {
        return !event.dropped && hand.whole !== undefined && hand.#isOurs(event);
      },
      again,
      follows: event.inner?.follows,
      get remade() {
        return event.inner?.remade ?? false;
      },
      get blocks() {
        return automation.onExhausted === "block" && !event.drop;
      },
      regained: async (withinMs) => {
        const inner = event.inner ?? this.#parking.anchorOf(event.lane)?.inner;
        return inner === undefined ? this.#isOurs(event) : inner.regained(withinMs);
      },
      stands: async () => (event.inner ? event.inner.stands() : (await this.#parking.read(event)) !== undefined),
      settle: (reason) => this.#settle(event, reason),
    };
  }

  /** By what the bus handed out: one that is parked is ours with the event before it. */
  #isOurs(event: LaneEvent): boolean {
    const inner = event.inner ?? this.#parking.anchorOf(event.lane)?.inner;
    return inner?.ours ?? this.whole !== undefined;
  }

  /** @param reason of a dead letter */
  async #settle(event: LaneEvent, reason: string | undefined): Promise<void> {
    if (await this.#parking.settle(event)) return;
    if (event.inner !== undefined) await this.tell(event, event.inner, reason);
  }

  /** Tells the bus, which confirms it. */
  async tell(event: LaneEvent, inner: Delivery, reason: string | undefined): Promise<void> {
    this.#telling++;
    try {
      await (reason === undefined ? inner.ack() : inner.terminate(reason));
      if (event.inner === inner) this.release(event);
    } finally {
      this.#telling--;
    }
  }

  /** The bus knows of it. */
  release(event: LaneEvent): void {
    this.#held.delete(event);
    event.inner = undefined;
  }

  #ended(event: LaneEvent, settled: boolean): void {
    const { signal } = this.#options;
    const { delivery } = event;
    event.delivery = undefined;
    this.#begun--;
    if (settled) this.#gone(event);
    else if (signal.aborted || event.dropped) this.letGo(event);
    else if (!this.#isOurs(event)) this.#owe(event);
    else if (delivery?.blocked)
      void this.#block(event, delivery.blocked).catch((error: unknown) => this.#fail(event, error));
    else if (delivery?.againMs !== undefined) void this.#pause(event, delivery.againMs);
    else this.#owe(event);
    this.relieve();
    this.advance();
  }

  /** It is settled, and its lane goes on. */
  #gone(event: LaneEvent): void {
    this.#remove(event);
    this.#parking.gone(event);
    if (this.#blocked.delete(event.lane)) void this.#forgetBlock(event.lane);
  }

  #remove(event: LaneEvent): void {
    this.lanes.remove(event);
    this.#carried.delete(event);
    if (this.#bySequence.get(event.sequence) === event) this.#bySequence.delete(event.sequence);
  }

  /** Out of the hand: whoever is handed it next has it. */
  letGo(event: LaneEvent): void {
    event.stop?.abort();
    this.#remove(event);
    if (this.#blocked.get(event.lane)?.event === event) this.#blocked.delete(event.lane);
    const { inner } = event;
    this.release(event);
    inner?.retry(0);
    if (!event.parked) return;
    this.#parking.gone(event);
    if (this.lanes.lane(event.lane)[0] === undefined) this.#parking.letGo(event.lane);
  }

  /** Let go, but it keeps its place until it has come again. What is parked does not come: it is begun once more. */
  #owe(event: LaneEvent): void {
    const { inner } = event;
    // It has no place of its own to come back to.
    if (this.#carried.has(event)) {
      this.letGo(event);
      return;
    }
    this.release(event);
    event.state = "owed";
    inner?.retry(0);
    if (event.parked) void this.#pause(event, 1000);
  }

  async #pause(event: LaneEvent, ms: number): Promise<void> {
    event.state = "pausing";
    event.stop = new AbortController();
    await this.#options.clock.sleep(ms, AbortSignal.any([event.stop.signal, this.#options.signal]));
    event.stop = undefined;
    if (event.state === "pausing" && !event.dropped) this.#putBack(event);
  }

  #putBack(event: LaneEvent): void {
    event.state = "waiting";
    this.lanes.putBack(event);
    this.advance();
  }

  async #block(event: LaneEvent, { reason, attempts, error }: Block): Promise<void> {
    event.state = "blocked";
    const { clock, persist } = this.#options;
    const message = event.inner ?? (await this.#parking.read(event));
    const { name, message: text } = error;
    const key: BlockedKey = {
      ...{ lane: event.lane, sequence: event.sequence, id: message?.header("ce-id") ?? "", since: clock.wall() },
      ...{ reason, attempts, error: { name, message: text } },
    };
    const { since } = await persist(() => this.#records.block(key));
    if (event.state !== "blocked" || event.dropped) return;
    this.#blocked.set(event.lane, { event, since });
    if (!this.#asking) void this.#ask();
  }

  /** Looks what a person has said, for as long as a key is blocked. */
  async #ask(): Promise<void> {
    this.#asking = true;
    const { clock, signal } = this.#options;
    while (this.#blocked.size > 0 && !signal.aborted) {
      for (const [lane, { event }] of this.#blocked) {
        try {
          const asked = (await this.#records.find(lane))?.asked;
          if (asked !== undefined && event.state === "blocked") await this.#obey(event, asked);
        } catch (error) {
          if (!mayPass(error)) this.#options.failed(error);
        }
      }
      await clock.sleep(askMs, signal);
    }
    this.#asking = false;
  }

  /** First what is remembered of it is forgotten, then the block: killed in between, it is begun anew all the same. */
  async #obey(event: LaneEvent, asked: "resume" | "drop"): Promise<void> {
    const { bus, automation, source } = this.#options;
    if (asked === "drop") {
      event.drop = true;
    } else {
      const place = { stream: streamName(source), sequence: event.sequence, run: event.inner?.run };
      await new AttemptsRecord(bus.state, automation.id, place, "").clear();
      this.#blocked.delete(event.lane);
      await this.#records.clear(event.lane);
    }
    if (event.state === "blocked" && !event.dropped) this.#putBack(event);
  }

  async #forgetBlock(lane: string): Promise<void> {
    await this.#options.persist(() => this.#records.clear(lane)).catch(() => {}); // it is cleared when it is found stale
  }

  /** Of blocked keys whose event is not in hand though all is: it was settled, and the record left behind by a kill. */
  async forgetStaleBlocks(): Promise<void> {
    for (const { lane, sequence } of await this.#options.persist(() => this.#records.all())) {
      if (!this.#bySequence.has(sequence) && this.whole !== undefined) await this.#forgetBlock(lane);
    }
  }

  #fail(event: LaneEvent, error: unknown): void {
    this.#owe(event);
    if (!mayPass(error)) this.#options.failed(error);
  }

  async #keepAlive(): Promise<void> {
    const { clock, ackWaitMs } = this.#options;
    for (;;) {
      await clock.sleep(ackWaitMs / 3);
      if (this.#retired && this.#held.size + this.#carried.size === 0) return;
      for (const { inner } of [...this.#held.all(), ...this.#carried]) inner?.working();
    }
  }
}
