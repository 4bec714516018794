// A second producer beside the tail: its batch waits here until the stream stands where it may stand.

import type { WakeUp } from "../../../clock.ts";
import { BugError } from "../../../errors.ts";
import { areComplete, type Place, reaches } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { SideBatch, SideProgress } from "../../source-stream.ts";
import type { Lifetime } from "../client/lifetime.ts";
import { type Outgoing, ownMarker } from "../stream/encode.ts";
import { MAX_BATCH_MESSAGES } from "../stream/port.ts";
import type { Standing } from "./standing.ts";
import { MAX_BATCH_BYTES, sizeOf } from "./writer-queue.ts";

export class SideBatches {
  readonly #life: Lifetime;
  readonly #standing: Standing;
  readonly #stored: WakeUp;
  #waiting: SideBatch | undefined;
  /** Its progress marker, once it was sent. */
  #sent: SideProgress | undefined;
  /** The stream's newest batch is one of these: then the tail goes first. */
  #tailFirst = false;

  constructor(life: Lifetime, standing: Standing) {
    this.#life = life;
    this.#standing = standing;
    this.#stored = life.wakeUp();
  }

  /** Resolves when it is stored. @throws Error what the writer ended with */
  async insert(batch: SideBatch): Promise<void> {
    this.#waiting = batch;
    while (this.#waiting === batch) await this.#life.until(this.#stored);
  }

  /** Whether one waits that may go at the end of a transaction. */
  get ready(): boolean {
    return this.#waiting !== undefined && reaches(this.#standing.reached, this.#waiting.notBefore);
  }

  /** Whether it goes next. @param tailWaits whether the tail has something to send */
  isNext(tailWaits: boolean): boolean {
    if (!this.ready || (this.#tailFirst && tailWaits)) return false;
    const { stored, beside } = this.#standing;
    return beside !== undefined && (stored === undefined || areComplete(stored));
  }

  /** The one that is next: its rows, then its progress marker. @param lastSeq of the stream before it */
  messages(source: SourceId, lease: number, lastSeq: number): readonly Outgoing[] {
    const place = this.#standing.beside as Place;
    const batch = this.#waiting as SideBatch;
    const rows = batch.messages(place);
    const value = batch.progress;
    const id = `${source}.backfill.${lease}.${lastSeq + rows.length + 1}`;
    const messages = [...rows, ownMarker(source, "backfill", id, value, place)];
    const bytes = messages.reduce((sum, message) => sum + sizeOf(message), 0);
    if (messages.length > MAX_BATCH_MESSAGES || bytes > MAX_BATCH_BYTES) {
      const what = `${rows.length} rows with ${bytes} bytes do not fit an atomic batch of ${source}`;
      throw new BugError("SIDE_BATCH_TOO_LARGE", what);
    }
    this.#sent = { id, value };
    return messages;
  }

  /** A batch of the tail is in the stream. */
  tailStored(): void {
    this.#tailFirst = false;
  }

  /** The one that was sent is in the stream. Returns how far its producer is. */
  stored(): SideProgress | undefined {
    const sent = this.#sent;
    this.#sent = undefined;
    this.#waiting = undefined;
    this.#tailFirst = true;
    this.#stored.set();
    return sent;
  }

  /**
   * Whether one is gone that was stored: where no event was lost with it, and an earlier try to find that out has filled its
   * numbers, nothing else tells.
   */
  hasLost(stored: SideProgress | undefined, newest: SideProgress | undefined): boolean {
    if (stored === undefined || newest?.id === stored.id) return false;
    return newest === undefined || newest.id !== this.#sent?.id;
  }

  /** It was found out what the stream holds: so it is known whether the one that was sent is there. */
  found(newest: SideProgress | undefined): void {
    if (newest !== undefined && newest.id === this.#sent?.id) this.stored();
  }
}
