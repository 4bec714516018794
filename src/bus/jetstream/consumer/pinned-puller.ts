// The one puller of an ordered durable: under which pin the server hands out to it, and whether all that was handed out is
// in its hand. The pin keeps others from being handed anything; that nothing begins too early is the gathering's alone.

import type { ConsumerInfo } from "@nats-io/jetstream";
import { realClock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import type { OrderedConsuming } from "../../subscription.ts";
import type { Durable } from "./durable.ts";
import { ORDER_GROUP } from "./durable-settings.ts";
import { Gathering } from "./gathering.ts";

/** A pull request lasts so long: each one says that this puller lives, and half of them may be late before another takes over. */
export const ORDERED_EXPIRES_MS = 2000;
/** How often the server is asked while not all is in hand, and while all is and it is not known who is pinned. */
const gatherMs = 100;
const watchMs = 1000;

export interface PinnedPullerOptions {
  readonly ordered: OrderedConsuming;
  readonly durable: Pick<Durable, "look">;
  readonly name: string;
  readonly ackWaitMs: number;
  /** Handed to us, and not yet taken by whoever has it in hand. */
  readonly untaken: () => number;
  /** All is in hand. */
  readonly gathered: () => void;
  /** What the durable's look threw; or that this subscription has to be made anew, with nothing in hand. */
  readonly failed: (error: unknown) => void;
}

export class PinnedPuller {
  readonly #options: PinnedPullerOptions;
  readonly #gathering = new Gathering();
  #pin: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #looking = false;
  /** Since when another one is seen to be pinned, and since when less is out than is in hand; by the steady clock. */
  #elsewhereMs: number | undefined;
  #forgottenMs: number | undefined;

  constructor(options: PinnedPullerOptions) {
    this.#options = options;
  }

  get whole(): number | undefined {
    return this.#gathering.whole;
  }

  get most(): number {
    return this.#options.ordered.most;
  }

  /** What a pull request says beside what it asks for. */
  get request(): Readonly<Record<string, string>> {
    return this.#pin === undefined ? { group: ORDER_GROUP } : { group: ORDER_GROUP, id: this.#pin };
  }

  /** @param pin the message's `Nats-Pin-Id` */
  received(number: number, pin: string | undefined): void {
    if (pin) this.#pin = pin;
    this.#gathering.received(number);
    this.#lookIn(0);
  }

  /** Something in hand was let go, or may have been handed to others meanwhile. */
  lost(): void {
    this.#gathering.lost();
    this.#lookIn(0);
  }

  /** The server took the pin away, or forgot it. */
  unpinned(): void {
    this.#pin = undefined;
    this.lost();
  }

  /** Looks after it from now on, for a hand that may hold something already. */
  start(): void {
    this.#lookIn(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #lookIn(ms: number): void {
    if (this.#stopped || this.#looking) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look(): Promise<void> {
    const { ordered, untaken, durable, gathered, failed } = this.#options;
    const idle = this.whole !== undefined && (this.#pin !== undefined || ordered.inHand() === 0);
    if (idle) return;
    this.#looking = true;
    try {
      const { mark } = this.#gathering;
      const before = ordered.inHand();
      const info = await durable.look();
      if (this.#stopped) return;
      const now = untaken() > 0 || ordered.inHand() !== before ? undefined : before;
      const was = this.whole;
      const out = { unsettled: info.num_ack_pending, newest: info.delivered.consumer_seq };
      if (this.#gathering.judge(mark, out, now) && was === undefined) gathered();
      this.#judge(info, now);
    } catch (error) {
      this.#gathering.lost();
      failed(error);
    } finally {
      this.#looking = false;
      this.#lookIn(this.whole === undefined ? gatherMs : watchMs);
    }
  }

  /** Whether what is in hand stands in somebody's way, or waits for what never comes: then it is given back. */
  #judge(info: ConsumerInfo, inHand: number | undefined): void {
    const { ackWaitMs, name, failed } = this.#options;
    const now = realClock.now();
    const pinned = pinnedOf(info);
    const elsewhere = pinned !== undefined && pinned !== this.#pin && (inHand ?? 1) > 0;
    this.#elsewhereMs = elsewhere ? (this.#elsewhereMs ?? now) : undefined;
    // It may be ourselves, with the first message under way.
    if (elsewhere && now - (this.#elsewhereMs ?? now) > 3 * gatherMs) {
      failed(
        new TransientError("BUS_ORDER_ELSEWHERE", `another worker is handed the events of ${name} now`, {
          hint: "nothing to do: this one stands by, and goes on when the other one ends",
        }),
      );
      return;
    }
    const forgotten = this.whole === undefined && inHand !== undefined && info.num_ack_pending <= inHand && inHand > 0;
    this.#forgottenMs = forgotten ? (this.#forgottenMs ?? now) : undefined;
    if (!forgotten || now - (this.#forgottenMs ?? now) <= 2 * ackWaitMs) return;
    failed(
      new TransientError("BUS_ORDER_UNSURE", `the server does not count what is in hand of ${name} as handed out`, {
        hint: "nothing to do: what has not begun is given back, and comes again in its order",
      }),
    );
  }
}

function pinnedOf(info: ConsumerInfo): string | undefined {
  // The client's type does not have it.
  const { priority_groups: groups } = info as ConsumerInfo & {
    readonly priority_groups?: readonly { readonly pinned_client_id?: string }[];
  };
  return groups?.[0]?.pinned_client_id || undefined;
}
