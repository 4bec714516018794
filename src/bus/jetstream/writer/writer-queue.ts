// What waits to be published, in order, cut into batches that never split a transaction that fits.

import type { StreamMessage } from "../../../event/message.ts";
import { isComplete } from "../../../event/position.ts";
import {
  comparePlace,
  newestOf,
  type Place,
  type Positions,
  placesBehind,
  positionsAt,
  withoutPartitions,
} from "../../../event/positions.ts";
import type { WriterItem } from "../../source-stream.ts";
import { MAX_BATCH_MESSAGES } from "../stream/port.ts";

/** Atomic batches hold at most this much; `MAX_BATCH_MESSAGES` is their other limit. */
export const MAX_BATCH_BYTES: number = 4 * 1024 * 1024;

/** More than the largest batch, or that one never became full. */
const MAX_QUEUED_BYTES = MAX_BATCH_BYTES + 2 * 1024 * 1024;
const MAX_QUEUED_MESSAGES = 3 * MAX_BATCH_MESSAGES;

/** What a message takes on the way beyond its head and body, roughly. */
const OVERHEAD_BYTES = 400;

const NONE: ReadonlySet<string> = new Set();

export const sizeOf = ({ head, data }: Pick<StreamMessage, "head" | "data">): number =>
  head.length + data.length + OVERHEAD_BYTES;

export class WriterQueue {
  #messages: StreamMessage[] = [];
  #head = 0;
  /** Messages ever taken away, so that a commit can be tied to a count that does not move. */
  #taken = 0;
  #bytes = 0;
  /** How many messages had ever come up to the end of the newest complete transaction. */
  #complete = 0;
  /** Commits without a message of their own, each with the count of messages before it. */
  #commits: { readonly after: number; place: Place }[] = [];
  /** Partitions that are over, likewise. */
  #ended: { readonly after: number; readonly partition: string }[] = [];

  /** Whether so much waits that whoever writes waits too. */
  get full(): boolean {
    return this.#bytes > MAX_QUEUED_BYTES || this.length > MAX_QUEUED_MESSAGES;
  }

  get length(): number {
    return this.#messages.length - this.#head;
  }

  push(item: WriterItem): void {
    if (item.type === "message") {
      this.#messages.push(item);
      this.#bytes += sizeOf(item);
      if (isComplete(item.position)) this.#complete = this.#taken + this.length;
      return;
    }
    const after = this.#taken + this.length;
    if (item.type === "ended") {
      this.#ended.push({ after, partition: item.partition });
      return;
    }
    const newest = this.#commits.at(-1);
    if (newest?.after === after && newest.place.partition === item.partition) newest.place = item;
    else this.#commits.push({ after, place: item });
  }

  /**
   * The next batch after the first `skip` messages: whole transactions up to the limits; of a transaction that does not
   * fit, as much as fits. Undefined when the transaction at the head is neither complete nor too large yet.
   */
  next(skip = 0): readonly StreamMessage[] | undefined {
    const start = this.#head + skip;
    let bytes = 0;
    let complete = start;
    for (let at = start; at < this.#messages.length; at++) {
      const message = this.#messages[at] as StreamMessage;
      bytes += sizeOf(message);
      const full = at - start >= MAX_BATCH_MESSAGES || (bytes > MAX_BATCH_BYTES && at > start);
      if (full) return this.#messages.slice(start, complete > start ? complete : at);
      if (isComplete(message.position)) complete = at + 1;
    }
    return complete > start ? this.#messages.slice(start, complete) : undefined;
  }

  /** Whether the next batch, after the first `skip` messages, is as large as batches get. */
  hasFullBatch(skip: number): boolean {
    return this.length - skip > MAX_BATCH_MESSAGES;
  }

  /** Takes away the first `count` messages: they are stored. */
  drop(count: number): void {
    for (let at = this.#head; at < this.#head + count; at++) this.#bytes -= sizeOf(this.#messages[at] as StreamMessage);
    this.#head += count;
    this.#taken += count;
    if (this.#head > 4096 && this.#head * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Takes away what stands at or before these places: the stream has it already. Returns how many. */
  dropThrough(stored: Positions): number {
    let count = 0;
    while (count < this.length && comparePlace(this.#messages[this.#head + count] as StreamMessage, stored) <= 0)
      count++;
    this.drop(count);
    return count;
  }

  /** The newest commits with nothing before them any more, taken away; undefined when there are none. */
  takeCommits(): Positions | undefined {
    if (this.#commits.length === 0) return undefined;
    const waiting = this.#commits.findIndex(({ after }) => after > this.#taken);
    const taken = this.#commits.splice(0, waiting < 0 ? this.#commits.length : waiting);
    return newestOf(taken.map(({ place }) => place));
  }

  /** Partitions that are over with nothing before that any more, taken away. */
  takeEnded(): ReadonlySet<string> {
    if (this.#ended.length === 0) return NONE;
    const taken = this.#ended.filter(({ after }) => after <= this.#taken);
    this.#ended = this.#ended.filter(({ after }) => after > this.#taken);
    return new Set(taken.map(({ partition }) => partition));
  }

  /** Large events that wait: their bodies are stored already. */
  large(): readonly StreamMessage[] {
    return this.#messages.slice(this.#head).filter(({ ref }) => ref !== undefined);
  }

  /** Whether there is something to send: a transaction whose end is not there yet waits for the source and not for the bus. */
  get waiting(): boolean {
    return this.#complete > this.#taken || this.length > MAX_BATCH_MESSAGES || this.#bytes > MAX_BATCH_BYTES;
  }
}

export class ReadAgain {
  #through: Positions | undefined;
  readonly #onReached: () => void;

  /** @param onReached called when all of it has come */
  constructor(through: Positions | undefined, onReached: () => void) {
    this.#through = through;
    this.#onReached = onReached;
  }

  /** Whether there is more of it to come. */
  get underWay(): boolean {
    return this.#through !== undefined;
  }

  /** Whether this one is of it: then it is not to be written. */
  has(item: WriterItem): boolean {
    if (this.#through === undefined) return false;
    if (item.type === "ended") {
      // It is not read again: what it had is in the stream, or lost with its body.
      this.#reached(withoutPartitions(this.#through, new Set([item.partition])));
      return false;
    }
    const order = comparePlace(item, this.#through);
    if (order < 0) return true;
    this.#reached(placesBehind(this.#through, positionsAt(item)));
    return order === 0;
  }

  #reached(rest: Positions | undefined): void {
    this.#through = rest;
    if (rest === undefined) this.#onReached();
  }
}
