// The saved checkpoint of a source: what is durable, and where in the stream that stands.

import { FencedError } from "../../errors.ts";
import type { Position } from "../../event/position.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { StateStore } from "../bus.ts";

export interface Checkpoint {
  readonly position: Position;
  /** Sequence and `ce-id` of the message that stood last in the stream then. */
  readonly streamSeq: number;
  readonly id: string;
  /** The stream's own time of birth. */
  readonly streamCreated: string;
  /** Number of the lease that saved it. */
  readonly lease: number;
}

/** Under which it is kept in the state bucket. */
export function checkpointKey(source: SourceId): string {
  return `checkpoint.${source}`;
}

/** Reads and writes `checkpoint.<source>` by revision, so that a worker that lost its lease cannot save. */
export class CheckpointStore {
  readonly #state: Pick<StateStore, "get" | "put">;
  readonly #key: string;

  constructor(state: Pick<StateStore, "get" | "put">, source: SourceId) {
    this.#state = state;
    this.#key = checkpointKey(source);
  }

  async load(): Promise<Checkpoint | undefined> {
    const entry = await this.#state.get(this.#key);
    return entry?.value as Checkpoint | undefined;
  }

  /** @throws FencedError when a newer lease has saved; TransientError while the bus is away */
  async save(checkpoint: Checkpoint): Promise<void> {
    for (;;) {
      const entry = await this.#state.get(this.#key);
      const saved = entry?.value as Checkpoint | undefined;
      if (saved && saved.lease > checkpoint.lease) {
        throw new FencedError(
          "CHECKPOINT_FENCED",
          `lease ${saved.lease} has saved since; ours is ${checkpoint.lease}`,
          {
            hint: "nothing to do: another worker has taken over",
          },
        );
      }
      if ((await this.#state.put(this.#key, checkpoint, entry?.revision ?? 0)) !== undefined) return;
    }
  }
}
