// What is saved of how far a source is: the checkpoint, which is durable; and places of an idle source that only a save
// holds. Those may be saved before the stream is synced up to them, for what they say is true of every stream that reaches
// what is behind them.

import { isDeepStrictEqual } from "node:util";
import { FencedError } from "../../../errors.ts";
import {
  laterPositions,
  type PlainPositions,
  type Positions,
  placesBehind,
  plainPositions,
  positionsFrom,
  reaches,
  withoutPartitions,
} from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Mark, SideProgress } from "../../source-stream.ts";
import type { StateStore } from "../../state-store.ts";

interface Saved {
  /** The stream's own time of birth. */
  readonly streamCreated: string;
  /** Number of the lease that saved it. */
  readonly lease: number;
}

export interface Checkpoint extends Saved {
  readonly position: PlainPositions;
  /** Sequence and `ce-id` of the message that stood last in the stream then. */
  readonly streamSeq: number;
  readonly id: string;
  /** How far the second producer was by then: its marker leaves the stream with time. */
  readonly progress?: SideProgress;
}

/** Between `behind` and `position` the source has no event, in each partition of `position`. */
interface IdlePlace {
  /** The stream's newest place then, for each of those that had one; null when none had. */
  readonly behind: PlainPositions | null;
  readonly position: PlainPositions;
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

/** How far a source is whose stream, of that birth, reaches `positions`. */
export function withIdle(
  positions: Positions | undefined,
  created: string,
  idle: IdlePlaces | undefined,
): Positions | undefined {
  if (idle?.streamCreated !== created) return positions;
  return idle.places.reduce((at, place) => laterPositions(at, believed(place, at)), positions);
}

/** Of an idle place, the partitions in which the stream reaches what is behind it. */
function believed({ behind, position }: IdlePlace, at: Positions | undefined): Positions {
  const unreached = placesBehind(behind === null ? undefined : positionsFrom(behind), at);
  return new Map([...positionsFrom(position)].filter(([partition]) => !unreached?.has(partition)));
}

/** Reads and writes both by revision, so that a worker that lost its lease cannot save. */
export class CheckpointStore {
  readonly #state: Pick<StateStore, "get" | "put">;
  readonly #source: SourceId;
  #checkpoint: Positions | undefined;

  constructor(state: Pick<StateStore, "get" | "put">, source: SourceId) {
    this.#state = state;
    this.#source = source;
  }

  async load(): Promise<Checkpoints> {
    const checkpoint = (await this.#state.get(checkpointKey(this.#source)))?.value as Checkpoint | undefined;
    const idle = (await this.#state.get(idleKey(this.#source)))?.value as IdlePlaces | undefined;
    this.#checkpoint = checkpoint && positionsFrom(checkpoint.position);
    return { checkpoint, idle };
  }

  /**
   * Saves a durable mark as the checkpoint, another one among the idle places; those of partitions that are over go behind it.
   * @throws FencedError when a newer lease has saved; TransientError while the bus is away
   */
  async save(
    { positions, streamCreated, streamSeq, id, unstored, behind, durable, progress, ended }: Mark,
    lease: number,
  ): Promise<void> {
    if (durable) {
      const position = plainPositions(positions);
      const checkpoint = { position, streamCreated, streamSeq, id, lease, ...(progress && { progress }) };
      await this.#put<Checkpoint>(checkpointKey(this.#source), lease, () => checkpoint);
      this.#checkpoint = positions;
      if (ended.size > 0) await this.#forget(ended, lease);
      return;
    }
    const news = placesBehind(unstored, this.#checkpoint);
    if (news === undefined) return; // all of it is on record
    // Of a partition that rests since a checkpoint, that one tells.
    const known = new Map(
      [...(this.#checkpoint ?? []), ...(behind ?? [])].filter(([partition]) => news.has(partition)),
    );
    const place = { behind: known.size > 0 ? plainPositions(known) : null, position: plainPositions(news) };
    await this.#put<IdlePlaces>(idleKey(this.#source), lease, (saved) => {
      const places = saved?.streamCreated === streamCreated ? saved.places : [];
      return { places: this.#withPlace(places, place), streamCreated, lease };
    });
  }

  /** No checkpoint passes the places of a partition that it leaves out: they go by themselves. */
  async #forget(ended: ReadonlySet<string>, lease: number): Promise<void> {
    const idle = (await this.#state.get(idleKey(this.#source)))?.value as IdlePlaces | undefined;
    const names = ({ position }: IdlePlace): boolean =>
      [...positionsFrom(position).keys()].some((one) => ended.has(one));
    if (!idle?.places.some(names)) return;
    await this.#put<IdlePlaces>(idleKey(this.#source), lease, (saved = idle) => {
      const places = saved.places.flatMap((place) => {
        const position = withoutPartitions(positionsFrom(place.position), ended);
        return position === undefined ? [] : { ...place, position: plainPositions(position) };
      });
      return { ...saved, places, lease };
    });
  }

  /** What the checkpoint has passed goes; all else may have been acknowledged, and stays until then. */
  #withPlace(places: readonly IdlePlace[], place: IdlePlace): readonly IdlePlace[] {
    const ahead = places.filter(({ position }) => !reaches(this.#checkpoint, positionsFrom(position)));
    const replaced = ahead.length >= MAX_PLACES ? ahead.at(-1)?.behind : place.behind;
    return [...ahead.filter(({ behind }) => !isDeepStrictEqual(behind, replaced)), place];
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
