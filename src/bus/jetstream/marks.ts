// The places that may become a checkpoint, on their way over the durable horizon; and the saves, on theirs.

import { TransientError } from "../../errors.ts";
import { laterPosition, type Position } from "../../event/position.ts";
import type { Mark } from "../bus.ts";
import type { Checkpoint, CheckpointStore } from "./checkpoint-store.ts";
import { type Fsync, Horizon } from "./horizon.ts";
import type { Life } from "./life.ts";
import type { Clock } from "./port.ts";
import type { WakeUp } from "./wake-up.ts";

const SAVE_AGAIN_MS = 250;

export class Marks {
  readonly #life: Life;
  readonly #clock: Clock;
  readonly #stored: Horizon<Mark>;
  readonly #saves: Horizon<number>;
  readonly #durable: WakeUp;
  readonly #saved: WakeUp;
  #complete: Position | undefined;
  #next: Mark | undefined;
  #saveCount = 0;
  #durableSaves = 0;
  /** How often the bus may have lost what it had acknowledged. */
  #clears = 0;

  constructor(life: Life, fsync: Fsync, clock: Clock) {
    this.#life = life;
    this.#clock = clock;
    this.#stored = new Horizon(fsync, clock);
    this.#saves = new Horizon(fsync, clock);
    this.#durable = life.wakeUp();
    this.#saved = life.wakeUp();
  }

  /** The newest place known to be complete. */
  get complete(): Position | undefined {
    return this.#complete;
  }

  get horizons(): readonly Horizon<unknown>[] {
    return [this.#stored, this.#saves];
  }

  get waiting(): { readonly marks: number; readonly oldestMs: number } {
    return this.#stored.waiting;
  }

  /** The stream is complete up to here. A checkpoint never goes back: what stands before the newest place is ignored. */
  hold(mark: Mark): void {
    this.#complete = laterPosition(this.#complete, mark.position);
    if (this.#complete !== mark.position) return;
    this.#stored.add(mark);
    this.tick();
  }

  /** The bus may have lost what waits: until it is held again, nothing of it becomes durable. */
  clear(): void {
    this.#clears++;
    this.#next = undefined;
    for (const horizon of this.horizons) horizon.clear();
  }

  /** Time has passed: something may have become durable. */
  tick(): void {
    const mark = this.#stored.take();
    if (mark !== undefined) {
      this.#next = mark;
      this.#durable.set();
    }
    const save = this.#saves.take();
    if (save !== undefined) {
      this.#durableSaves = save;
      this.#saved.set();
    }
  }

  /** The newest durable place, once there is a new one. */
  async next(): Promise<Mark> {
    this.#life.throwIfOver(); // a mark of a writer that ended may be about a stream that is gone
    while (this.#next === undefined) await this.#life.until(this.#durable);
    const mark = this.#next;
    this.#next = undefined;
    return mark;
  }

  /** Stores a checkpoint, again and again until it is stored. @throws Error what its writer ended with */
  async save(checkpoint: Checkpoint, checkpoints: CheckpointStore): Promise<void> {
    this.#life.throwIfOver(); // after a loss the mark may be of a stream that is no more
    for (;;) {
      const clears = this.#clears;
      try {
        await checkpoints.save(checkpoint);
        if (this.#clears === clears) break;
        this.#life.throwIfOver(); // its answer may be older than the loss
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        await this.#clock.sleep(SAVE_AGAIN_MS, this.#life.signal);
        this.#life.throwIfOver();
      }
    }
    this.#saves.add(++this.#saveCount);
    this.tick();
  }

  /** Resolves when the newest save, or a later one, is durable. */
  async saveDurable(): Promise<void> {
    const wanted = this.#saveCount;
    while (this.#durableSaves < wanted) await this.#life.until(this.#saved);
  }
}
