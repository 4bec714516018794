// The places that may become a checkpoint, on their way over the durable horizon; and the saves, on theirs.

import type { Clock, WakeUp } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import {
  areComplete,
  laterPositions,
  type Positions,
  placesBehind,
  reaches,
  withoutPartitions,
} from "../../../event/positions.ts";
import type { Mark } from "../../source-stream.ts";
import type { Lifetime } from "../client/lifetime.ts";
import type { CheckpointStore } from "../lease/checkpoint-store.ts";
import { type Fsync, Horizon } from "../lease/horizon.ts";

const SAVE_AGAIN_MS = 250;
/** More end in no time that a bus may lose. */
const MAX_OVER = 10_000;
const NONE: ReadonlySet<string> = new Set();

export class Marks {
  readonly #life: Lifetime;
  readonly #clock: Clock;
  readonly #stored: Horizon<Mark>;
  readonly #saves: Horizon<Mark>;
  readonly #toSave: WakeUp;
  readonly #saved: WakeUp;
  /** Set where the bus is sure to hold again what a save rests on. */
  readonly #sure: WakeUp;
  #unsure = false;
  #complete: Positions | undefined;
  /** Where the writer began, and what it has come to since, until a mark names all of it. */
  #start: Positions | undefined;
  /** Partitions that are over, until a checkpoint is saved without them. */
  readonly #ended = new Set<string>();
  /** And the newest of all: a recovery of a bus that lost that save finds them again. */
  readonly #over = new Set<string>();
  #next: Mark | undefined;
  /** The newest place that only a save would hold, where it is not durable yet; saved once between two pings. */
  #idle: Mark | undefined;
  #idleSavedMs = Number.NEGATIVE_INFINITY;
  /** The one that was handed out to be saved. */
  #idleOut: Mark | undefined;
  #nextSaved: Mark | undefined;
  /** The furthest of those whose save is or may be durable. */
  #savedTo: Positions | undefined;
  /** How often the bus may have lost what it had acknowledged. */
  #clears = 0;

  /**
   * @param start where the writer begins. A start inside of a transaction makes its first mark where that one ends, and by then
   * the stream does not tell of the partitions that only the checkpoint or an idle place has.
   */
  constructor(life: Lifetime, fsync: Fsync, clock: Clock, start: Positions | undefined) {
    this.#life = life;
    this.#clock = clock;
    this.#start = start;
    this.#stored = new Horizon(fsync, clock);
    this.#saves = new Horizon(fsync, clock);
    this.#toSave = life.wakeUp();
    this.#saved = life.wakeUp();
    this.#sure = life.wakeUp();
  }

  /** How far the source is known to be complete. */
  get complete(): Positions | undefined {
    return this.#complete;
  }

  /** Partitions that are over, and that what is saved may still name. */
  get over(): ReadonlySet<string> {
    return this.#over;
  }

  /** These partitions are over: no later mark names them. Returns them. */
  end(partitions: ReadonlySet<string>): ReadonlySet<string> {
    for (const partition of partitions) {
      this.#ended.add(partition);
      this.#over.add(partition);
    }
    for (const oldest of this.#over) if (this.#over.size > MAX_OVER) this.#over.delete(oldest);
    this.#complete = withoutPartitions(this.#complete, partitions);
    return partitions;
  }

  get horizons(): readonly Horizon<unknown>[] {
    return [this.#stored, this.#saves];
  }

  get waiting(): { readonly marks: number; readonly oldestMs: number } {
    return this.#stored.waiting;
  }

  /**
   * The source is complete up to here. A checkpoint never goes back: what stands before the newest places is ignored.
   * @param at where the stream is
   */
  hold(reached: Positions, at: Pick<Mark, "streamSeq" | "id" | "streamCreated" | "behind" | "progress">): void {
    const before = this.#complete;
    const positions = withoutPartitions(laterPositions(reached, before ?? this.#start), this.#over);
    if (positions === undefined) return; // each place that there was is of a partition that is over
    const waits = before === undefined && !areComplete(positions); // the transaction that it began in goes on
    this.#start = waits ? positions : undefined;
    if (waits) return;
    if (before !== undefined && reaches(before, positions) && !reaches(reached, before)) return;
    this.#complete = positions;
    // Member by member: a spread here took more time than all else that a transaction takes in the writer.
    const { streamSeq, id, streamCreated, behind, progress } = at;
    const unstored = placesBehind(positions, behind);
    const ended = this.#ended.size === 0 ? NONE : new Set(this.#ended);
    const mark = { streamSeq, id, streamCreated, behind, progress, positions, unstored, ended, durable: false };
    this.#stored.add(mark);
    if (mark.unstored !== undefined) this.#idle = mark;
    this.tick();
  }

  /** The bus may have lost what waits: until it is held again, nothing of it becomes durable, and until `recovered` nothing is saved. */
  clear(): void {
    this.#clears++;
    this.#unsure = true;
    this.#next = undefined;
    this.#idle = undefined;
    this.#idleOut = undefined;
    this.#idleSavedMs = Number.NEGATIVE_INFINITY;
    this.#nextSaved = undefined;
    this.#savedTo = undefined;
    for (const horizon of this.horizons) horizon.clear();
  }

  /** What the source has on record is there: partitions that are over by it may leave the checkpoint. */
  recovered(): void {
    this.#unsure = false;
    this.#sure.set();
  }

  /** Time has passed: something may have become durable. */
  tick(): void {
    const mark = this.#stored.take();
    if (mark !== undefined) {
      this.#next = { ...mark, durable: true };
      if (this.#idle && reaches(mark.positions, this.#idle.positions)) this.#idle = undefined;
      this.#toSave.set();
    }
    if (this.#dueIdle !== undefined) this.#toSave.set();
    const save = this.#saves.take();
    if (save !== undefined) {
      this.#nextSaved = save;
      this.#saved.set();
    }
  }

  /** The newest place to save, once there is a new one: a durable one, else one that only a save holds. */
  async next(): Promise<Mark> {
    this.#life.throwIfOver(); // a mark of a writer that ended may be about a stream that is gone
    for (;;) {
      const durable = this.#next;
      this.#next = undefined;
      if (durable !== undefined) return durable;
      const idle = this.#dueIdle;
      if (idle !== undefined) {
        this.#idle = undefined;
        this.#idleOut = idle;
        this.#idleSavedMs = this.#clock.now();
        return idle;
      }
      await this.#life.until(this.#toSave);
    }
  }

  /** Its save may become durable while the stream does, and need not wait for that. */
  get #dueIdle(): Mark | undefined {
    const everyMs = this.#saves.pingEveryMs ?? 0;
    return this.#clock.now() - this.#idleSavedMs >= everyMs ? this.#idle : undefined;
  }

  /**
   * Stores a mark, again and again until it is stored, or the bus may have lost what a mark that is not durable stands
   * behind: that one comes again once it was seen to be there. @throws Error what its writer ended with
   */
  async save(mark: Mark, lease: number, checkpoints: CheckpointStore): Promise<void> {
    this.#life.throwIfOver(); // after a loss the mark may be of a stream that is no more
    for (;;) {
      while (this.#unsure) await this.#life.until(this.#sure);
      if (!mark.durable && this.#idleOut !== mark) return;
      const clears = this.#clears;
      try {
        await checkpoints.save(mark, lease);
        if (this.#clears === clears) break;
        this.#life.throwIfOver(); // its answer may be older than the loss
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        await this.#clock.sleep(SAVE_AGAIN_MS, this.#life.signal);
        this.#life.throwIfOver();
      }
    }
    if (mark.durable) for (const partition of mark.ended) this.#ended.delete(partition);
    // What is durable by now was saved as an idle place long ago, and must not take the place of a newer one that waits.
    if (mark.unstored === undefined || reaches(this.#savedTo, mark.positions)) return;
    this.#savedTo = mark.positions;
    this.#saves.add(mark);
    this.tick();
  }

  /** The newest place that only a save holds, once that save is durable. */
  async nextSaved(): Promise<Mark> {
    this.#life.throwIfOver();
    while (this.#nextSaved === undefined) await this.#life.until(this.#saved);
    const mark = this.#nextSaved;
    this.#nextSaved = undefined;
    return mark;
  }
}
