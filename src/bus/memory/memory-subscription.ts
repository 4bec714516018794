// A subscription to a durable in memory, and what it hands out.

import type { WakeUp } from "../../clock.ts";
import type { Lifetime } from "../jetstream/client/lifetime.ts";
import type { ConsumeOptions, Delivery, Obstacle, StreamGap, Subscription } from "../subscription.ts";
import type { HandedOut, MemoryDurable } from "./memory-durable.ts";
import { headersOf } from "./memory-stream.ts";

type MemorySubscriptionOptions = Pick<ConsumeOptions, "minPending" | "signal" | "run" | "ordered">;

export class MemorySubscription implements Subscription {
  /** Nobody can take a durable away. */
  readonly madeAgain: undefined = undefined;
  readonly durable: MemoryDurable;
  readonly #options: MemorySubscriptionOptions;
  /** Of the bus that it belongs to. */
  readonly life: Lifetime;
  readonly #wakeUp: WakeUp;
  /** By sequence; those that wait for another handing-out leave their room to others. */
  readonly #open = new Map<number, MemoryDelivery>();
  #settledThrough = 0;
  /** What was handed out to it last. */
  #last: HandedOut | undefined;
  #whole = false;
  /** How often it has become whole, and of how many of those its taker was told. */
  #times = 0;
  #told = 0;

  constructor(durable: MemoryDurable, options: MemorySubscriptionOptions, life: Lifetime) {
    this.durable = durable;
    this.#options = options;
    this.life = life;
    this.#wakeUp = life.wakeUp();
  }

  get whole(): number | undefined {
    const { ordered } = this.#options;
    if (ordered === undefined) return undefined;
    const inHand = ordered.inHand();
    const was = this.#whole;
    if (!this.durable.isPuller(this)) this.#whole = false;
    else if (inHand !== undefined) this.#whole = inHand === this.durable.depth.unacked;
    if (this.#whole && !was) this.#times++;
    return this.#whole ? this.#times : undefined;
  }

  obstacle(): Obstacle | undefined {
    return undefined;
  }

  /** Nothing leaves a stream in memory. */
  async missed(): Promise<StreamGap | undefined> {
    this.#settledThrough = this.durable.settledThrough;
    return undefined;
  }

  settledThrough(): number {
    return this.#settledThrough;
  }

  async accept(): Promise<void> {}

  /** What is settled of a durable that is gone is settled of nothing. */
  abandon(): void {}

  get run(): string | undefined {
    return this.#options.run;
  }

  async depth(): Promise<{ readonly pending: number; readonly unacked: number }> {
    return this.durable.depth;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<readonly Delivery[]> {
    const { signal } = this.#options;
    const wake = (): void => this.#wakeUp.set();
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        this.life.throwIfOver();
        const ready = this.#take();
        const times = this.whole ?? this.#told;
        const gathered = times !== this.#told;
        this.#told = times;
        if (ready.length > 0 || gathered) yield ready;
        else await this.durable.wait(this.#wakeUp);
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.durable.leave(this);
    }
  }

  /** There may be room for another one. @param sequence of a delivery that is out of the way */
  closed(sequence: number): void {
    this.#open.delete(sequence);
    this.durable.wake();
  }

  #take(): readonly MemoryDelivery[] {
    const ready: MemoryDelivery[] = [];
    if (this.#options.ordered !== undefined && !this.durable.pulls(this)) return ready;
    while (this.#hasRoom) {
      const one = this.durable.take();
      if (one === undefined) break;
      const follows = sequenceBefore(this.#last, one);
      this.#last = one;
      const open = this.#open.get(one.message.seq);
      if (open !== undefined) {
        open.renew(one, this);
        continue;
      }
      const delivery = new MemoryDelivery(one, this, follows);
      this.#open.set(delivery.sequence, delivery);
      ready.push(delivery);
    }
    return ready;
  }

  get #hasRoom(): boolean {
    const busy = [...this.#open.values()].filter(({ released }) => !released);
    const { ordered, minPending } = this.#options;
    return busy.length < (ordered?.most ?? minPending);
  }
}

class MemoryDelivery implements Delivery {
  readonly remade = false;
  readonly follows: number | undefined;
  /** It only waits to be handed out once more. */
  released = false;
  #one: HandedOut;
  #owner: MemorySubscription;
  readonly #renewed = new Set<() => void>();

  constructor(one: HandedOut, owner: MemorySubscription, follows: number | undefined) {
    this.follows = follows;
    this.#one = one;
    this.#owner = owner;
  }

  get run(): string | undefined {
    return this.#owner.run;
  }

  get subject(): string {
    return this.#one.message.subject;
  }

  get data(): Uint8Array {
    return this.#one.message.data;
  }

  get stream(): string {
    return this.#owner.durable.stream;
  }

  get sequence(): number {
    return this.#one.message.seq;
  }

  get again(): boolean {
    return this.#one.count > 1;
  }

  header(name: string): string | undefined {
    return this.#one.message.header(name);
  }

  headers(): Readonly<Record<string, string>> {
    return headersOf(this.#one.message);
  }

  /** Nothing that is stored is ever lost. */
  async stands(): Promise<boolean> {
    return true;
  }

  get ours(): boolean {
    const { life, durable } = this.#owner;
    return !life.ended && durable.clock.now() < this.#one.dueMs;
  }

  succeed(older: Delivery): void {
    if (older instanceof MemoryDelivery) older.renew(this.#one, this.#owner);
  }

  /** The same message was handed out once more: from now on that counts. */
  renew(one: HandedOut, owner: MemorySubscription): void {
    this.#one = one;
    this.#owner = owner;
    this.released = false;
    for (const renewed of this.#renewed) renewed();
  }

  get free(): boolean {
    return this.ours;
  }

  async regained(withinMs: number): Promise<boolean> {
    if (this.ours) return true;
    const over = new AbortController();
    const renewed = (): void => over.abort();
    this.#renewed.add(renewed);
    this.released = true; // or there may be no room for it to come again
    this.#owner.durable.wake();
    await this.#owner.durable.clock.sleep(withinMs, over.signal);
    this.#renewed.delete(renewed);
    return this.ours;
  }

  async ack(): Promise<void> {
    this.#owner.life.throwIfOver();
    this.#owner.durable.settle(this.sequence);
    this.#owner.closed(this.sequence);
  }

  terminate(): Promise<void> {
    return this.ack();
  }

  retry(delayMs: number): void {
    if (this.ours) this.#owner.durable.postpone(this.#one, delayMs);
    this.#owner.closed(this.sequence);
  }

  working(): void {
    if (this.ours) this.#owner.durable.postpone(this.#one);
  }
}

/** The sequence of the one before, where both were handed out for the first time, one right behind the other. */
function sequenceBefore(last: HandedOut | undefined, one: HandedOut): number | undefined {
  return last?.nth === one.nth - 1 && last.count === 1 && one.count === 1 ? last.message.seq : undefined;
}
