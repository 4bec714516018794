// Whose turn it is in the lanes of a hand: the first of each begins, and how it has ended decides what follows: the next one of
// its lane, its own next attempt, a key that stands still, or that it has to come again.

import type { Delivery } from "../../bus/subscription.ts";
import { type SourceId, streamName } from "../../event/source-id.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import type { Block, Follower } from "../deliver/job.ts";
import { mayPass } from "../outcome/unavailable.ts";
import type { KeyLanes } from "./key-lanes.ts";
import { LaneDelivery, type LaneHold } from "./lane-delivery.ts";
import type { LaneEvent } from "./lane-event.ts";
import type { Parking } from "./parking.ts";

/** What turns need of the hand that the lanes are in. */
export interface HandOfTurns {
  readonly lanes: KeyLanes<LaneEvent>;
  /** Since which time all is in hand, by number; undefined while nothing may begin. */
  readonly whole: number | undefined;
  /** Whether it is a replay out of MILLRACE_RETRY, which has no place of its own to come back to. */
  isCarried(event: LaneEvent): boolean;
  /** Tells the bus, which confirms it. @param reason of a dead letter */
  tell(event: LaneEvent, inner: Delivery, reason: string | undefined): Promise<void>;
  /** The bus knows of it, or it is another's. */
  release(event: LaneEvent): void;
  /** It is settled, and its lane goes on. */
  gone(event: LaneEvent): void;
  letGo(event: LaneEvent): void;
  /** Makes room where there is little. */
  relieve(): void;
}

export interface LaneTurnsOptions extends Pick<AutomationParts, "automation" | "clock" | "signal"> {
  readonly source: SourceId;
  readonly hand: HandOfTurns;
  readonly parking: Pick<Parking, "isLoaded" | "read" | "settle" | "anchorOf">;
  /** Hands an event to its handler. */
  readonly begin: (delivery: LaneDelivery, follower: Follower) => void;
  /** Stops its key. */
  readonly block: (event: LaneEvent, why: Block) => Promise<void>;
  /** Repeats an operation while the bus is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
  /** Nothing that a later try can mend. */
  readonly failed: (error: unknown) => void;
  /** A parked event is not in the stream any more: on record, before its key goes on. */
  readonly tellGone: (sequence: number) => Promise<void>;
}

/** So many whose handlers have ended may be told of, and wait for the bus to confirm it, beside those that have a place: a slow bus must not keep places empty. */
const MOST_ENDING = 256;

export class LaneTurns {
  readonly #options: LaneTurnsOptions;
  #begun = 0;
  /** Of those that have begun, the ones that have a place among the handlers, or wait for one. */
  readonly #placed = new Set<LaneEvent>();

  constructor(options: LaneTurnsOptions) {
    this.#options = options;
  }

  /** How many have begun and not ended. */
  get begun(): number {
    return this.#begun;
  }

  /** Begins what may begin. */
  advance(): void {
    const { signal, automation, hand, parking } = this.#options;
    if (hand.whole === undefined || signal.aborted || !parking.isLoaded(hand.whole)) return;
    const most = 2 * automation.concurrency;
    while (this.#placed.size < most && this.#begun < most + MOST_ENDING && hand.whole !== undefined) {
      const event = hand.lanes.take();
      if (event === undefined) return;
      if (event.state !== "waiting") continue; // on its way to the record
      if (isAnothers(event)) {
        hand.letGo(event);
        continue;
      }
      event.state = "begun";
      this.#begun++;
      this.#placed.add(event);
      void this.#begin(event);
    }
  }

  /** It waits for its turn once more. */
  putBack(event: LaneEvent): void {
    event.state = "waiting";
    this.#options.hand.lanes.putBack(event);
    this.advance();
  }

  async #begin(event: LaneEvent): Promise<void> {
    const { source, parking, persist, begin, tellGone, failed } = this.#options;
    try {
      if (event.settled) {
        await this.#settle(event, undefined);
        this.#ended(event, true);
        return;
      }
      const message = event.inner ?? (await parking.read(event));
      if (message === undefined) {
        await persist(() => tellGone(event.sequence));
        await this.#settle(event, undefined);
        this.#ended(event, true);
        return;
      }
      const delivery = new LaneDelivery(message, event.inner, streamName(source), this.#holdOf(event));
      event.delivery = delivery;
      begin(delivery, { freed: () => this.#freed(event), ended: () => this.#ended(event, delivery.settled) });
      event.again = true;
    } catch (error) {
      // The subscription is over, or the bus is closed.
      this.#ended(event, false);
      if (!mayPass(error)) failed(error);
    }
  }

  #holdOf(event: LaneEvent): LaneHold {
    const turns = this;
    const { automation, hand, parking } = this.#options;
    const again = event.again || (event.inner?.again ?? true);
    return {
      get ours() {
        return turns.#isOurs(event);
      },
      get free() {
        return !event.dropped && hand.whole !== undefined && turns.#isOurs(event);
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
        const inner = event.inner ?? parking.anchorOf(event.lane)?.inner;
        return inner === undefined ? this.#isOurs(event) : inner.regained(withinMs);
      },
      stands: async () => (event.inner ? event.inner.stands() : (await parking.read(event)) !== undefined),
      settle: (reason) => this.#settle(event, reason),
    };
  }

  /** By what the bus handed out: one that is parked is ours with the event before it. */
  #isOurs(event: LaneEvent): boolean {
    const { hand, parking } = this.#options;
    const inner = event.inner ?? parking.anchorOf(event.lane)?.inner;
    return inner?.ours ?? hand.whole !== undefined;
  }

  /** @param reason of a dead letter */
  async #settle(event: LaneEvent, reason: string | undefined): Promise<void> {
    const { hand, parking } = this.#options;
    if (await parking.settle(event)) return;
    if (event.inner !== undefined) await hand.tell(event, event.inner, reason);
  }

  /** Not at once: it may be in the middle of what frees several places. */
  #freed(event: LaneEvent): void {
    if (this.#placed.delete(event)) queueMicrotask(() => this.advance());
  }

  #ended(event: LaneEvent, settled: boolean): void {
    const { signal, hand, block } = this.#options;
    const { delivery } = event;
    event.delivery = undefined;
    this.#begun--;
    this.#placed.delete(event);
    if (settled) hand.gone(event);
    else if (signal.aborted || event.dropped) hand.letGo(event);
    else if (!this.#isOurs(event)) this.#owe(event);
    else if (delivery?.blocked) void block(event, delivery.blocked).catch((error: unknown) => this.#fail(event, error));
    else if (delivery?.againMs !== undefined) void this.#pause(event, delivery.againMs);
    else this.#owe(event);
    hand.relieve();
    this.advance();
  }

  /** Let go, but it keeps its place until it has come again. What is parked does not come: it is begun once more. */
  #owe(event: LaneEvent): void {
    const { hand } = this.#options;
    const { inner } = event;
    if (hand.isCarried(event)) {
      hand.letGo(event);
      return;
    }
    hand.release(event);
    event.state = "owed";
    inner?.retry(0);
    if (event.parked) void this.#pause(event, 1000);
  }

  async #pause(event: LaneEvent, ms: number): Promise<void> {
    event.state = "pausing";
    event.stop = new AbortController();
    await this.#options.clock.sleep(ms, AbortSignal.any([event.stop.signal, this.#options.signal]));
    event.stop = undefined;
    if (event.state === "pausing" && !event.dropped) this.putBack(event);
  }

  #fail(event: LaneEvent, error: unknown): void {
    this.#owe(event);
    if (!mayPass(error)) this.#options.failed(error);
  }
}

/** Handed to another worker by now, which may have settled it: else it comes again. */
function isAnothers({ inner, parked, settled, drop }: LaneEvent): boolean {
  return !(parked || settled || drop) && inner !== undefined && !inner.ours;
}
