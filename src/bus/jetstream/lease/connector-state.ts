// What a source must not forget, in the state bucket; with the lease it was saved under, so that who has lost it cannot save.

import { isDeepStrictEqual } from "node:util";
import { FencedError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { StateStore } from "../../state-store.ts";

/** Under which a source keeps its memory in the state bucket. */
export function memoryKey(source: SourceId): string {
  return `memory.${source}`;
}

type Memory = Readonly<Record<string, unknown>>;
type Saved = Memory & { readonly lease?: number };

export class StoredConnectorState {
  #lease = 0;
  /** What the connector goes by since that writer was opened: what it has loaded or saved last. */
  #newest: Memory | undefined;
  readonly #state: StateStore;
  readonly #key: string;

  constructor(state: StateStore, source: SourceId) {
    this.#state = state;
    this.#key = memoryKey(source);
  }

  /** Of the newest writer that was opened here; 0 before the first one. */
  get lease(): number {
    return this.#lease;
  }

  /** Whoever saves from now on holds this lease. */
  begin(lease: number): void {
    this.#lease = lease;
    this.#newest = undefined; // another worker may have saved since
  }

  async load(): Promise<Memory | undefined> {
    const saved = (await this.#read())?.value;
    if (saved === undefined) return undefined;
    const { lease: _, ...memory } = saved;
    this.#newest = memory;
    return memory;
  }

  /**
   * Saves once more what the connector goes by, where the bus has lost it: checkpoints that are saved from now on may rest on it.
   * @throws FencedError, TransientError
   */
  async keep(): Promise<void> {
    const memory = this.#newest;
    if (memory === undefined) return;
    const { lease: _, ...saved } = (await this.#read())?.value ?? {};
    if (!isDeepStrictEqual(saved, memory)) await this.save(memory);
  }

  /** The lease it was saved under; 0 when that is not known. */
  async savedBy(): Promise<number> {
    return (await this.#read())?.value.lease ?? 0;
  }

  /** @throws FencedError when a newer lease has saved; TransientError while the bus is away */
  async save(memory: Memory): Promise<void> {
    this.#newest = memory;
    for (;;) {
      const entry = await this.#read();
      const newest = entry?.value.lease ?? 0;
      if (newest > this.#lease) {
        throw new FencedError("MEMORY_FENCED", `lease ${newest} has saved since; ours is ${this.#lease}`, {
          hint: "nothing to do: another worker has taken over",
        });
      }
      const saved = { ...memory, lease: this.#lease };
      if ((await this.#state.put(this.#key, saved, entry?.revision ?? 0)) !== undefined) return;
    }
  }

  async #read(): Promise<{ readonly value: Saved; readonly revision: number } | undefined> {
    const entry = await this.#state.get(this.#key);
    return entry && { value: entry.value as Saved, revision: entry.revision };
  }
}
