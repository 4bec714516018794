// Gives each event its position, holds the newest back until it is known to be the last, and drops what is stored.

import { BugError, type PoisonError } from "../../errors.ts";
import { eventHead, type Transaction } from "../../event/message.ts";
import { bare, type Position } from "../../event/position.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { SourceMessage } from "../source.ts";
import { hex8, hex16 } from "./lsn.ts";
import { historyPrefix, restAt } from "./position.ts";
import type { RowEvent } from "./row-events.ts";

/** A row that could not be decoded, before its place in the transaction is known. */
export interface PoisonRow {
  readonly namespace: string;
  readonly collection: string;
  readonly raw: Uint8Array;
  readonly sizeBytes: number;
  readonly sha256: string | undefined;
  readonly error: PoisonError;
}

const MAX_EVENTS = 0xffffff;
/** `<history:04x>.<final:016x>.` */
const TRANSACTION_PREFIX = 22;
/** About what headers, subject and the object itself take beside the body. */
const MESSAGE_OVERHEAD_BYTES = 500;

export class Sequencer {
  readonly #source: SourceId;
  readonly #history: string;
  /** Where the stream ends, bare; undefined once the log is past it. */
  #stored: string | undefined;
  /** The newest position that was handed out, bare. */
  #newest: string;
  #transaction: Transaction | undefined;
  #prefix = "";
  #change = "";
  #high = 0;
  #low = 0;
  #count = -1;
  #held: RowEvent | PoisonRow | undefined;
  #heldPosition = "";
  #rest: Position | undefined;
  #messages: SourceMessage[] = [];
  #bytes = 0;

  /** @param from what stands there or before it is dropped, but still counted */
  constructor(source: SourceId, history: number, from: Position) {
    this.#source = source;
    this.#history = historyPrefix(history);
    this.#newest = bare(from);
    this.#stored = bare(from);
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  begin(finalHigh: number, finalLow: number, transaction: Transaction): void {
    if (this.#transaction !== undefined) throw new BugError("LOG_OUT_OF_ORDER", "a transaction begins inside another");
    this.#transaction = transaction;
    this.#prefix = `${this.#history}${hex16(finalHigh, finalLow)}.`;
    this.#count = -1;
    if (this.#stored !== undefined && this.#prefix > this.#stored.slice(0, TRANSACTION_PREFIX))
      this.#stored = undefined;
  }

  /** The position of the next event of the change at this LSN. */
  next(high: number, low: number): string {
    if (this.#transaction === undefined) throw new BugError("LOG_OUT_OF_ORDER", "a change outside of a transaction");
    // Never backwards, whatever the log says: a change with a lower LSN counts on at the highest one.
    if (this.#count < 0 || high > this.#high || (high === this.#high && low > this.#low)) {
      this.#high = high;
      this.#low = low;
      this.#count = -1;
      this.#change = `${this.#prefix}${hex16(high, low)}.r`;
    }
    if (++this.#count > MAX_EVENTS)
      throw new BugError("TOO_MANY_EVENTS", "more events of one change than can be numbered");
    return this.#count === 0 ? `${this.#change}000000` : this.#change + hex8(this.#count).slice(2);
  }

  /** The next event. It comes out when another one or the commit follows. */
  push(position: string, event: RowEvent | PoisonRow): void {
    if (this.#stored !== undefined && position <= this.#stored) return;
    this.#release("");
    this.#held = event;
    this.#heldPosition = position;
  }

  /** @param high of the first byte that no longer belongs to the transaction */
  commit(high: number, low: number): void {
    if (this.#transaction === undefined) throw new BugError("LOG_OUT_OF_ORDER", "a commit without a transaction");
    const empty = this.#held === undefined;
    this.#release("+");
    this.#transaction = undefined;
    if (empty) this.advance(high, low);
  }

  /** The log is through up to here (exclusive) and no transaction is open; a newer one replaces it until it is taken. */
  advance(high: number, low: number): void {
    const rest = low === 0 ? restAt(this.#history, high - 1, 0xffffffff) : restAt(this.#history, high, low - 1);
    if (bare(rest) <= this.#newest) return;
    this.#newest = bare(rest);
    this.#rest = rest;
  }

  /** Whether there is enough to hand out, in messages or in bytes. */
  full(maxMessages: number, maxBytes: number): boolean {
    return this.#messages.length >= maxMessages || this.#bytes >= maxBytes;
  }

  /** All that is ready, in order. */
  take(): readonly SourceMessage[] {
    this.#flushRest();
    const messages = this.#messages;
    if (messages.length > 0) {
      this.#messages = [];
      this.#bytes = 0;
    }
    return messages;
  }

  #release(mark: "" | "+"): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#flushRest();
    this.#newest = this.#heldPosition;
    const position = (this.#heldPosition + mark) as Position;
    const transaction = this.#transaction as Transaction;
    if ("error" in held) {
      this.#messages.push({ type: "poison", position, transaction, ...held });
      this.#bytes += held.raw.length;
    } else {
      const head = eventHead(held.template, this.#source, held.key, transaction, position);
      this.#messages.push({ type: "message", subject: held.subject, head, data: held.data, position });
      this.#bytes += held.data.length + MESSAGE_OVERHEAD_BYTES;
    }
  }

  #flushRest(): void {
    if (this.#rest === undefined) return;
    this.#messages.push({ type: "commit", position: this.#rest });
    this.#rest = undefined;
  }
}
