// The record of how far an automation's events of one stream are settled, in the state bucket: the same for all workers.

import type { StateStore } from "../../state-store.ts";
import type { SettledWatermark } from "./settled-watermark.ts";

/** Under which it is kept. */
export function accountedKey(durable: string, stream: string): string {
  return `accounted.${durable}.${stream}`;
}

export interface Entry {
  readonly value: SettledWatermark;
  readonly revision: number;
}

/** All methods reject with TransientError while the bus is away. */
export class AccountedRecord {
  readonly #state: StateStore;
  readonly #key: string;

  constructor(state: StateStore, durable: string, stream: string) {
    this.#state = state;
    this.#key = accountedKey(durable, stream);
  }

  async read(): Promise<Entry | undefined> {
    const entry = await this.#state.get(this.#key);
    return entry && { value: entry.value as SettledWatermark, revision: entry.revision };
  }

  /** Whether it was stored: not when somebody else was quicker. */
  async put(value: SettledWatermark, known: Entry | undefined): Promise<boolean> {
    return (await this.#state.put(this.#key, value, known?.revision ?? 0)) !== undefined;
  }

  /** @param change what to store in place of what is there; undefined where that is right */
  async change(change: (known: SettledWatermark) => SettledWatermark | undefined): Promise<void> {
    for (;;) {
      const known = await this.read();
      const next = known && change(known.value);
      if (next === undefined || (await this.put(next, known))) return;
    }
  }
}
