// What is saved of how far a source is: the checkpoint, which is durable; and places of an idle source that only a save
// holds. Those may be saved before the stream is synced up to them, for what they say is true of every stream that reaches
// what is behind them.

import { FencedError } from "../../../errors.ts";
import { comparePositions, type Position } from "../../../event/position.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Mark, StateStore } from "../../bus.ts";

interface Saved {
  /** The stream's own time of birth. */
  readonly streamCreated: string;
  /** Number of the lease that saved it. */
  readonly lease: number;
}

export interface Checkpoint extends Saved {
  readonly position: Position;
  /** Sequence and `ce-id` of the message that stood last in the stream then. */
  readonly streamSeq: number;
  readonly id: string;
}

/** Between `behind` and `position` the source has no event. */
interface IdlePlace {
  /** The stream's newest place then; null when it had none. */
  readonly behind: Position | null;
  readonly position: Position;
}

/** The places beyond the checkpoint, one for each `behind`, the oldest first. */
export interface IdlePlaces extends Saved {
  readonly places: readonly IdlePlace[];
}

/** All that is saved of how far a source is. */
export interface Checkpoints {
  readonly checkpoint: Checkpoint | undefined;
  readonly idle: IdlePlaces | undefined;
}

/** As many there are while no place becomes durable for long; then the newest one is replaced, and none acknowledged. */
const MAX_PLACES = 64;

/** Under which the checkpoint is kept in the state bucket. */
export function checkpointKey(source: SourceId): string {
  return `checkpoint.${source}`;
}

/** And the idle places. */
export function idleKey(source: SourceId): string {
  return `idle.${source}`;
}

/** How far a source is whose stream, of that birth, reaches `position`. */
export function withIdle(
  position: Position | undefined,
  created: string,
  idle: IdlePlaces | undefined,
): Position | undefined {
  if (idle?.streamCreated !== created) return position;
  return idle.places.reduce((at, place) => (reaches(at, place.behind) ? later(at, place.position) : at), position);
}

function reaches(at: Position | undefined, behind: Position | null): boolean {
  return behind === null || (at !== undefined && comparePositions(at, behind) >= 0);
}

function later(at: Position | undefined, place: Position): Position {
  return at !== undefined && comparePositions(at, place) >= 0 ? at : place;
}

/** Reads and writes both by revision, so that a worker that lost its lease cannot save. */
export class CheckpointStore {
  readonly #state: Pick<StateStore, "get" | "put">;
  readonly #source: SourceId;
  #checkpoint: Position | undefined;

  constructor(state: Pick<StateStore, "get" | "put">, source: SourceId) {
    this.#state = state;
    this.#source = source;
  }

  async load(): Promise<Checkpoints> {
    const checkpoint = (await this.#state.get(checkpointKey(this.#source)))?.value as Checkpoint | undefined;
    const idle = (await this.#state.get(idleKey(this.#source)))?.value as IdlePlaces | undefined;
    this.#checkpoint = checkpoint?.position;
    return { checkpoint, idle };
  }

  /**
   * Saves a durable mark as the checkpoint, another one among the idle places.
   * @throws FencedError when a newer lease has saved; TransientError while the bus is away
   */
  async save({ position, streamCreated, streamSeq, id, behind, durable }: Mark, lease: number): Promise<void> {
    if (durable) {
      const checkpoint = { position, streamCreated, streamSeq, id, lease };
      await this.#put<Checkpoint>(checkpointKey(this.#source), lease, () => checkpoint);
      this.#checkpoint = position;
      return;
    }
    await this.#put<IdlePlaces>(idleKey(this.#source), lease, (saved) => {
      const places = saved?.streamCreated === streamCreated ? saved.places : [];
      return { places: this.#withPlace(places, { behind: behind ?? null, position }), streamCreated, lease };
    });
  }

  /** What the checkpoint has passed goes; all else may have been acknowledged, and stays until then. */
  #withPlace(places: readonly IdlePlace[], place: IdlePlace): readonly IdlePlace[] {
    const passed = this.#checkpoint;
    const ahead = places.filter(({ position }) => passed === undefined || comparePositions(position, passed) > 0);
    const replaced = ahead.length >= MAX_PLACES ? ahead.at(-1)?.behind : place.behind;
    return [...ahead.filter(({ behind }) => behind !== replaced), place];
  }

  async #put<T extends Saved>(key: string, lease: number, next: (saved: T | undefined) => T): Promise<void> {
    for (;;) {
      const entry = await this.#state.get(key);
      const saved = entry?.value as T | undefined;
      if (saved && saved.lease > lease) {
        throw new FencedError("CHECKPOINT_FENCED", `lease ${saved.lease} has saved since; ours is ${lease}`, {
          hint: "nothing to do: another worker has taken over",
        });
      }
      if ((await this.#state.put(key, next(saved), entry?.revision ?? 0)) !== undefined) return;
    }
  }
}
