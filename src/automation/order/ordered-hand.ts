// What one automation has in hand of one stream, in order by key: the first of each key goes to its handler and keeps its
// place until the bus has confirmed its end, or it is on record; retries of it are made in place. Here is what is in hand and
// what is told to the bus; lane-turns.ts has whose turn it is, blocking.ts keys that stand still, parking.ts what is put aside.
//
// What holds: an event begins only while the subscription is whole, that is while all that the bus counts as handed out is in
// this hand (bus/jetstream/consumer/gathering.ts), and only as the first of its lane. All before it in its lane is then settled,
// parked on record behind an event in this hand, or in this hand before it. What is let go keeps its place as `owed` until it
// has come again, all is in hand without it, or the whole hand is given back.

import type { Delivery, Subscription } from "../../bus/subscription.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import type { Follower } from "../deliver/job.ts";
import { Blocking } from "./blocking.ts";
import { HeldEvents } from "./held-events.ts";
import { KeyLanes } from "./key-lanes.ts";
import type { LaneDelivery } from "./lane-delivery.ts";
import { handedOut, idHashOf, type LaneEvent } from "./lane-event.ts";
import { LaneTurns } from "./lane-turns.ts";
import { Parking } from "./parking.ts";

/** Short, so that the keys of a worker that died go on within seconds. */
export const ORDERED_ACK_WAIT_MS = 6000;
/** After which a replay is handed out once more, that came to a worker which has not its stream in hand. */
const elsewhereMs = 500;

export interface OrderedHandOptions
  extends Pick<AutomationParts, "automation" | "bus" | "clock" | "signal" | "ackWaitMs"> {
  readonly source: SourceId;
  /** The durable's name: another one behind a seek. */
  readonly durable: string;
  /** Hands an event to its handler. */
  readonly begin: (delivery: LaneDelivery, follower: Follower) => void;
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
  readonly #parking: Parking;
  readonly #blocking: Blocking;
  readonly #turns: LaneTurns;
  readonly #options: OrderedHandOptions;
  #retired = false;
  #subscription: Subscription | undefined;
  /** Since which time all was in hand when it took something last. */
  #wholeBefore: number | undefined;
  /** The highest sequence that came: what comes out of MILLRACE_RETRY takes its turn as if it had come with that one. */
  #newest = 0;
  /** Outcomes that the bus has been told and has not confirmed. */
  #telling = 0;

  constructor(options: OrderedHandOptions) {
    this.#options = options;
    this.#parking = new Parking({
      ...options,
      hand: this,
      advance: () => this.#turns.advance(),
      forgetStaleBlocks: () => this.#blocking.forgetStale(),
    });
    this.#blocking = new Blocking({
      ...options,
      hand: this,
      parking: this.#parking,
      putBack: (event) => this.#turns.putBack(event),
    });
    this.#turns = new LaneTurns({
      ...options,
      hand: this,
      parking: this.#parking,
      block: (event, why) => this.#blocking.block(event, why),
    });
    void this.#keepAlive();
  }

  /**
   * For the bus: what is in hand of what it counts as handed out; undefined while it is told of one. As many as it counts are then
   * the same ones: with one among them that another worker has settled, one that it still works on could be missing.
   */
  inHand(): number | undefined {
    return this.#telling > 0 ? undefined : this.#held.ours;
  }

  /** Events in hand, those parked, and since when which keys are blocked, ms since 1970. */
  counts(): {
    readonly held: number;
    readonly parked: number;
    readonly full: boolean;
    readonly blocked: readonly number[];
  } {
    const parked = this.#parking.count;
    const full = this.#held.full && this.#turns.begun === 0;
    return { held: this.#held.size, parked, full, blocked: this.#blocking.since };
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
    if (this.whole !== undefined && this.whole !== this.#wholeBefore) this.#forgetSettledElsewhere();
    this.#wholeBefore = this.whole;
    this.relieve();
    this.#turns.advance();
  }

  /** All that is not settled is in hand: what is owed, and not handed out, never comes. */
  #forgetSettledElsewhere(): void {
    for (const event of [...this.#bySequence.values()])
      if (event.state === "owed" && !event.parked && event.inner === undefined) this.letGo(event);
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
      const last = { ...event, rank: Math.max(this.#newest, ...lane.map(({ rank }) => rank)) };
      this.#carried.add(last);
      this.lanes.add(last);
      this.#turns.advance();
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
    for (const prefix of [this.#parking.prefix, this.#blocking.prefix]) {
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
      if (known.state === "owed") this.#turns.putBack(known);
    } else {
      const event = handedOut(delivery);
      this.#newest = Math.max(this.#newest, event.sequence);
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

  /** It is settled, and its lane goes on. */
  gone(event: LaneEvent): void {
    this.#remove(event);
    this.#parking.gone(event);
    this.#blocking.settled(event);
  }

  /** Whether it came out of MILLRACE_RETRY. */
  isCarried(event: LaneEvent): boolean {
    return this.#carried.has(event);
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
    this.#blocking.letGo(event);
    const { inner } = event;
    this.release(event);
    inner?.retry(0);
    if (!event.parked) return;
    this.#parking.gone(event);
    if (this.lanes.lane(event.lane)[0] === undefined) this.#parking.letGo(event.lane);
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
