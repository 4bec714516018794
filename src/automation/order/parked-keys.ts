// Followers of a key that were put aside so that others find room: on record in the state bucket, by sequence, before the bus
// is told that it need not keep them. Read back from the stream, in order, once it is their turn.
//
// What holds: the event before the first parked one of a lane (its anchor) stays unsettled on the bus until all parked ones
// are settled. So whoever takes the anchor over takes the lane over, the durable's floor stays before them, and what leaves
// the stream meanwhile is found as a gap. `done` is saved before the next begins: a kill repeats one event at most.

import { createHash } from "node:crypto";
import { z } from "zod";
import type { StateStore } from "../../bus/state-store.ts";
import { BugError } from "../../errors.ts";
import { type SourceId, streamName } from "../../event/source-id.ts";

/** A sequence, and of what event: the same number in a bus that was set back may be another's. */
export interface ParkedEvent {
  readonly sequence: number;
  readonly idHash: number;
}

const chunkSchema = z.object({ lane: z.string(), events: z.array(z.tuple([z.int(), z.int()])) });
const doneSchema = z.object({ lane: z.string(), done: z.int() });

/** What is on record of one lane. */
export interface ParkedLane {
  readonly lane: string;
  /** Rising. */
  readonly events: readonly ParkedEvent[];
  /** All of the lane up to and including this sequence is settled; 0 where nothing was since it was parked. */
  readonly done: number;
}

/** Of one durable on one stream. All that asks the bus rejects with TransientError while it is away. */
export class ParkedKeys {
  readonly #state: StateStore;
  /** What the keys of all that is on record begin with. */
  readonly prefix: string;
  /** Keys of the chunks of each lane, with the last sequence in it. */
  readonly #chunks = new Map<string, Map<string, number>>();

  constructor(state: StateStore, durable: string, source: SourceId) {
    this.#state = state;
    this.prefix = `parked.${durable}.${streamName(source)}.`;
  }

  /** Whether a lane has chunks on record, as far as is known here. */
  has(lane: string): boolean {
    return (this.#chunks.get(lane)?.size ?? 0) > 0;
  }

  async load(): Promise<readonly ParkedLane[]> {
    this.#chunks.clear();
    const events = new Map<string, Map<number, number>>();
    const done = new Map<string, number>();
    for (const key of await this.#state.keys(this.prefix)) {
      const value = (await this.#state.get(key))?.value;
      if (value === undefined) continue; // gone since
      if (key.endsWith(".done")) {
        const found = read(doneSchema, key, value);
        done.set(found.lane, found.done);
      } else {
        const found = read(chunkSchema, key, value);
        const of = events.get(found.lane) ?? new Map<number, number>();
        for (const [sequence, idHash] of found.events) of.set(sequence, idHash);
        events.set(found.lane, of);
        this.#noted(found.lane).set(key, Math.max(...found.events.map(([sequence]) => sequence)));
      }
    }
    return [...new Set([...events.keys(), ...done.keys()])].map((lane) => ({
      lane,
      done: done.get(lane) ?? 0,
      events: [...(events.get(lane) ?? [])]
        .map(([sequence, idHash]) => ({ sequence, idHash }))
        .filter(({ sequence }) => sequence > (done.get(lane) ?? 0))
        .sort((a, b) => a.sequence - b.sequence),
    }));
  }

  /** Puts events on record; only then may they be acked. Once more with the same events it is the same. */
  async park(lane: string, events: readonly ParkedEvent[]): Promise<void> {
    const [first, last] = [events[0]?.sequence ?? 0, events.at(-1)?.sequence ?? 0];
    const key = `${this.#of(lane)}.${first}-${last}`;
    await this.#put(key, { lane, events: events.map(({ sequence, idHash }) => [sequence, idHash]) });
    this.#noted(lane).set(key, last);
  }

  /** All of the lane up to here is settled: on record before the next one begins. */
  async settle(lane: string, sequence: number): Promise<void> {
    const key = `${this.#of(lane)}.done`;
    for (;;) {
      const known = await this.#state.get(key);
      // Never back: a worker that stood still may say so late.
      if (known !== undefined && read(doneSchema, key, known.value).done >= sequence) return;
      if ((await this.#state.put(key, { lane, done: sequence }, known?.revision ?? 0)) !== undefined) return;
    }
  }

  /** Forgets what is settled of a lane; all of it, when nothing is parked any more. */
  async clear(lane: string, through: number): Promise<void> {
    const chunks = this.#noted(lane);
    for (const [key, last] of chunks) {
      if (last > through) continue;
      await this.#state.delete(key);
      chunks.delete(key);
    }
    if (chunks.size > 0) return;
    // Last of all: without it the chunks would begin anew.
    await this.#state.delete(`${this.#of(lane)}.done`);
    this.#chunks.delete(lane);
  }

  async #put(key: string, value: unknown): Promise<void> {
    for (;;) {
      const known = await this.#state.get(key);
      if (known !== undefined && JSON.stringify(known.value) === JSON.stringify(value)) return; // the answer was lost
      if ((await this.#state.put(key, value, known?.revision ?? 0)) !== undefined) return;
    }
  }

  #noted(lane: string): Map<string, number> {
    const chunks = this.#chunks.get(lane) ?? new Map<string, number>();
    this.#chunks.set(lane, chunks);
    return chunks;
  }

  #of(lane: string): string {
    return this.prefix + laneToken(lane);
  }
}

/** A lane as a token of a key of the state bucket. */
export function laneToken(lane: string): string {
  return createHash("sha256").update(lane).digest("hex").slice(0, 32);
}

function read<T>(schema: z.ZodType<T>, key: string, value: unknown): T {
  const found = schema.safeParse(value);
  if (!found.success) throw new BugError("MEMORY_UNREADABLE", `${key} is not what this version writes`);
  return found.data;
}
