// Puts followers of keys aside when the hand is nearly full, and brings them back when it is their turn: so a hot key, or one
// that stands still, takes no room from the others. What is promised of the record is said in parked-keys.ts.

import type { Delivery } from "../../bus/subscription.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import { mayPass } from "../outcome/unavailable.ts";
import type { KeyLanes } from "./key-lanes.ts";
import { idHashOf, type LaneEvent, parked } from "./lane-event.ts";
import { ParkedKeys, type ParkedLane } from "./parked-keys.ts";

/** How many followers stay in hand of a key whose first event runs, or waits for a handler. */
const FOLLOWERS = 16;
/** Parked at most, for the memory that their sequences take: about 20 MB. */
export const MOST_PARKED = 100_000;

/** What parking needs of the hand that it makes room in. */
export interface Hand {
  readonly lanes: KeyLanes<LaneEvent>;
  /** Since which time all is in hand, by number. */
  readonly whole: number | undefined;
  add(event: LaneEvent): void;
  find(sequence: number): LaneEvent | undefined;
  /** Tells the bus, which confirms it. @param reason of a dead letter */
  tell(event: LaneEvent, inner: Delivery, reason: string | undefined): Promise<void>;
  /** The bus knows of it, or it is another's. */
  release(event: LaneEvent): void;
  letGo(event: LaneEvent): void;
  /** Makes room where there is little. */
  relieve(): void;
}

export interface ParkingOptions extends Pick<AutomationParts, "bus"> {
  readonly source: SourceId;
  /** The durable's name. */
  readonly durable: string;
  /** Repeats an operation while the bus is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
  /** Nothing that a later try can mend. */
  readonly failed: (error: unknown) => void;
  readonly hand: Hand;
  /** Begins what may begin. */
  readonly advance: () => void;
  /** All is in hand: blocks of what is not are left behind by a kill. */
  readonly forgetStaleBlocks: () => Promise<void>;
}

export class Parking {
  readonly #options: ParkingOptions;
  readonly #store: ParkedKeys;
  /** Of each lane with parked events that is under way: the settled one before them, which is still in hand. */
  readonly #anchors = new Map<string, LaneEvent>();
  /** The whole of the subscription that the record was read for. */
  #loaded: number | undefined;
  #loading = false;
  #now: Promise<void> | undefined;
  #count = 0;

  constructor(options: ParkingOptions) {
    this.#options = options;
    const { bus, durable, source } = options;
    this.#store = new ParkedKeys(bus.state, durable, source);
  }

  get prefix(): string {
    return this.#store.prefix;
  }

  /** Events that are parked now. */
  get count(): number {
    return this.#count;
  }

  anchorOf(lane: string): LaneEvent | undefined {
    return this.#anchors.get(lane);
  }

  /** Whether a lane has something on record. */
  has(lane: string): boolean {
    return this.#store.has(lane);
  }

  /** Whether what is on record is known, since it was all in hand; else it is read. */
  isLoaded(whole: number): boolean {
    if (this.#loaded === whole) return true;
    if (!this.#loading) void this.#load(whole);
    return false;
  }

  /** Another subscription: others may have changed the record since. */
  forget(): void {
    this.#loaded = undefined;
  }

  /** Lets an anchor go, with the lane that hangs on it. */
  letGo(lane: string): void {
    const anchor = this.#anchors.get(lane);
    this.#anchors.delete(lane);
    const inner = anchor?.inner;
    if (anchor !== undefined) this.#options.hand.release(anchor);
    inner?.retry(0);
  }

  /** The message of a parked event; undefined when it is not in the stream any more. */
  async read({ sequence, idHash }: LaneEvent): Promise<StoredMessage | undefined> {
    const { bus, source, persist } = this.#options;
    const message = await persist(() => bus.read(source, sequence));
    return message !== undefined && idHashOf(message) === idHash ? message : undefined;
  }

  /**
   * An event has come to its end: puts that on record where parked ones stand before or behind it. Resolves to whether that
   * was all; else the bus is to be told.
   */
  async settle(event: LaneEvent): Promise<boolean> {
    const { hand, persist } = this.#options;
    while (hand.lanes.behind(event)?.state === "parking") await this.#now;
    event.finishing = true;
    try {
      const { lane, sequence } = event;
      if (event.dropped) return await this.#settleDropped(event);
      if (hand.lanes.behind(event)?.parked) {
        await persist(() => this.#store.settle(lane, sequence));
        event.settled = true;
        if (event.inner !== undefined) this.#anchors.set(lane, event);
        if (event.dropped) this.letGo(lane);
        return true;
      }
      if (!event.parked && !event.settled) return false;
      // The last one of them: on record, then the bus is told of the anchor, then the record goes. Killed in between, the
      // anchor comes again and finds that all behind it is settled.
      if (event.parked) await persist(() => this.#store.settle(lane, sequence));
      event.settled = true;
      const anchor = event.parked ? this.#anchors.get(lane) : event;
      if (anchor?.inner !== undefined) await hand.tell(anchor, anchor.inner, undefined);
      this.#anchors.delete(lane);
      await persist(() => this.#store.clear(lane, sequence));
      return true;
    } finally {
      event.finishing = false;
    }
  }

  /** What stands behind it is another's by now: on record, and whoever is handed the anchor goes on. */
  async #settleDropped(event: LaneEvent): Promise<boolean> {
    if (!event.chained) return false;
    await this.#options.persist(() => this.#store.settle(event.lane, event.sequence));
    event.settled = true;
    const { inner } = event;
    this.#options.hand.release(event);
    inner?.retry(0);
    this.letGo(event.lane);
    return true;
  }

  /**
   * Parks what need not be in hand, unless that is being done, too many are parked, or the record is being read: what was parked behind
   * that reading would not be found in it, and be let go as if it were another's.
   */
  makeRoom(): void {
    if (this.#now !== undefined || this.#loading) return;
    const groups: LaneEvent[][] = [];
    let room = MOST_PARKED - this.#count;
    for (const lane of this.#options.hand.lanes.lanes()) {
      const followers = movable(lane).slice(0, room);
      if (followers.length === 0) continue;
      room -= followers.length;
      groups.push(followers);
    }
    if (groups.length === 0) return;
    for (const event of groups.flat()) event.state = "parking";
    this.#now = this.#park(groups).finally(() => {
      this.#now = undefined;
    });
  }

  async #park(groups: readonly (readonly LaneEvent[])[]): Promise<void> {
    const { hand, persist, failed, advance } = this.#options;
    for (const events of groups) {
      const [{ lane }] = events as [LaneEvent];
      const stored = await persist(() => this.#store.park(lane, events)).then(
        () => true,
        (error: unknown) => {
          if (!mayPass(error)) failed(error);
          return false;
        },
      );
      // First on record, then told: killed in between, they come again and are told then.
      if (stored) await Promise.all(events.map((event) => this.#putAside(event)));
      for (const event of events) {
        event.state = "waiting";
        hand.lanes.putBack(event);
        if (event.dropped) hand.letGo(event);
      }
    }
    advance();
  }

  async #putAside(event: LaneEvent): Promise<void> {
    const { hand } = this.#options;
    event.parked = true;
    this.#count++;
    const { inner } = event;
    if (inner !== undefined) await hand.tell(event, inner, undefined).catch(() => hand.release(event)); // it comes again
  }

  /** It is not parked any more. */
  gone(event: LaneEvent): void {
    if (event.parked) this.#count--;
  }

  async #load(whole: number): Promise<void> {
    const { hand, persist, failed, advance, forgetStaleBlocks } = this.#options;
    this.#loading = true;
    try {
      while (this.#now !== undefined) await this.#now;
      const found = await persist(() => this.#store.load());
      if (hand.whole !== whole) return;
      await this.#merge(found);
      await forgetStaleBlocks();
      if (hand.whole === whole) this.#loaded = whole;
    } catch (error) {
      if (!mayPass(error)) failed(error);
    } finally {
      this.#loading = false;
      hand.relieve();
      advance();
    }
  }

  async #merge(found: readonly ParkedLane[]): Promise<void> {
    const { hand, persist } = this.#options;
    const onRecord = new Set(found.flatMap(({ events }) => events.map(({ sequence }) => sequence)));
    for (const lane of [...hand.lanes.lanes()]) {
      for (const event of [...lane]) {
        if (event.parked && event.state === "waiting" && !onRecord.has(event.sequence)) hand.letGo(event);
      }
    }
    for (const { lane, events, done } of found) {
      for (const of of hand.lanes.lane(lane)) {
        if (!of.parked && of.sequence <= done && of.state === "waiting") of.settled = true;
      }
      for (const one of events) {
        const known = hand.find(one.sequence);
        if (known === undefined) {
          this.#count++;
          hand.add(parked(lane, one));
        } else if (!known.parked && known.state === "waiting") {
          await this.#putAside(known);
        }
      }
      // Its last steps were cut off.
      if (events.length === 0 && hand.lanes.lane(lane).every(({ settled }) => !settled) && !this.#anchors.has(lane)) {
        await persist(() => this.#store.clear(lane, done));
      }
    }
  }
}

/** Followers that may be parked: behind one in hand, or behind one that is parked and under way. */
function movable(lane: readonly LaneEvent[]): readonly LaneEvent[] {
  const [first] = lane;
  if (first === undefined || first.finishing || first.barrier || first.state === "owed") return [];
  if (lane.some(({ inner }) => inner?.carried !== undefined)) return [];
  const stands = first.state === "pausing" || first.state === "blocked";
  return lane
    .slice(1 + (stands ? 0 : FOLLOWERS))
    .filter(({ inner, state, settled }) => inner !== undefined && state === "waiting" && !settled);
}
