// All that the bus handed out of one stream and that is in hand, by sequence; and how full the hand is of it.

import { MOST_BYTES_IN_HAND } from "../../bus/subscription.ts";
import type { LaneEvent } from "./lane-event.ts";

/** All that may be handed out and not settled: what is in hand. */
export const MOST_IN_HAND = 512;

export class HeldEvents {
  readonly #events = new Map<number, { readonly event: LaneEvent; readonly bytes: number }>();
  #bytes = 0;

  get size(): number {
    return this.#events.size;
  }

  /** How many the bus still counts as handed out to us: not what another worker may have had, and settled, meanwhile. */
  get ours(): number {
    let ours = 0;
    for (const { event } of this.#events.values()) if (event.inner?.ours === true) ours++;
    return ours;
  }

  /** Of what there is room for, by number or by bytes: 1 is all. */
  get filled(): number {
    return Math.max(this.#events.size / MOST_IN_HAND, this.#bytes / MOST_BYTES_IN_HAND);
  }

  /** Whether nothing more comes: or nothing that is large. */
  get full(): boolean {
    return this.#events.size >= MOST_IN_HAND || this.#bytes >= (MOST_BYTES_IN_HAND * 3) / 4;
  }

  get(sequence: number): LaneEvent | undefined {
    return this.#events.get(sequence)?.event;
  }

  set(event: LaneEvent): void {
    this.#remove(event.sequence);
    const bytes = event.inner?.data.length ?? 0;
    this.#events.set(event.sequence, { event, bytes });
    this.#bytes += bytes;
  }

  /** Where it is that one that is held. */
  delete(event: LaneEvent): void {
    if (this.get(event.sequence) === event) this.#remove(event.sequence);
  }

  /** As they are now. */
  all(): readonly LaneEvent[] {
    return [...this.#events.values()].map(({ event }) => event);
  }

  #remove(sequence: number): void {
    const held = this.#events.get(sequence);
    if (held === undefined) return;
    this.#events.delete(sequence);
    this.#bytes -= held.bytes;
  }
}
