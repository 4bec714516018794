// Gives each event its position, holds the newest back until it is known to be the last, and drops what is stored.

import { BugError, type PoisonError } from "../../../errors.ts";
import type { CarriedLineage } from "../../../event/lineage.ts";
import { bare, isComplete, type Position } from "../../../event/position.ts";
import type { CollectionVersion, Domain, Marker, Transaction, Unplaced } from "../../../event/source-event.ts";
import type { Lost, SourceMessage } from "../../source.ts";
import { hex8, hex16 } from "../client/lsn.ts";
import { historyPrefix, restAt } from "../client/position.ts";
import type { MissingToast } from "./missing-toast.ts";
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

/** A message that lacks values which the database is to be asked for. */
export interface RowMissingToast {
  /** The message's place among those that are taken. */
  readonly index: number;
  /** Its transaction's id. */
  readonly transaction: string;
  readonly row: MissingToast;
}

/** An event or a poisonous row before its place is known. */
type Held = RowEvent | Unplaced<Domain> | Unplaced<Marker> | PoisonRow;

const MAX_EVENTS = 0xffffff;
/** `<history:04x>.<final:016x>.` */
const TRANSACTION_PREFIX = 22;
/** About what headers, subject and the object itself take beside the body. */
const MESSAGE_OVERHEAD_BYTES = 500;

export class Sequencer {
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
  #held: Held | undefined;
  #heldPosition = "";
  #heldTransaction: Transaction | undefined;
  #rest: Position | undefined;
  /** Whether the newest position is one between transactions. */
  #atBoundary: boolean;
  #lost: Omit<Lost, "type" | "position">[] = [];
  #messages: SourceMessage[] = [];
  #missingToast: RowMissingToast[] = [];
  #bytes = 0;
  #hasDescription = false;

  /** @param from what stands there or before it is dropped, but still counted */
  constructor(history: number, from: Position) {
    this.#history = historyPrefix(history);
    this.#newest = bare(from);
    this.#stored = bare(from);
    this.#atBoundary = isComplete(from);
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  /** The id of the open one; empty between two. */
  get transactionId(): string {
    return this.#transaction?.id ?? "";
  }

  begin(finalHigh: number, finalLow: number, transaction: Transaction): void {
    if (this.#transaction !== undefined) throw new BugError("LOG_OUT_OF_ORDER", "a transaction begins inside another");
    this.#transaction = transaction;
    this.#prefix = `${this.#history}${hex16(finalHigh, finalLow)}.`;
    this.#at(0, 0);
    if (this.#stored !== undefined && this.#prefix > this.#stored.slice(0, TRANSACTION_PREFIX))
      this.#stored = undefined;
  }

  /** The position of the next event of the change at this LSN. */
  next(high: number, low: number): string {
    if (this.#transaction === undefined) throw new BugError("LOG_OUT_OF_ORDER", "a change outside of a transaction");
    // Never backwards, whatever the log says: a change with a lower LSN counts on at the highest one.
    if (this.#isBehind(high, low)) this.#at(high, low);
    if (++this.#count > MAX_EVENTS)
      throw new BugError("TOO_MANY_EVENTS", "more events of one change than can be numbered");
    return this.#count === 0 ? `${this.#change}000000` : this.#change + hex8(this.#count).slice(2);
  }

  /**
   * The position of a transactional logical message.
   * @param high of its LSN, which is the end of its record: one less goes in
   */
  nextMessage(high: number, low: number): string {
    const lastHigh = low === 0 ? high - 1 : high;
    const lastLow = low === 0 ? 0xffffffff : low - 1;
    if (!this.#isBehind(lastHigh, lastLow)) return this.next(lastHigh, lastLow);
    this.#at(lastHigh, lastLow);
    return `${this.#prefix}${hex16(lastHigh, lastLow)}.m000000`;
  }

  /**
   * The position of a description before all events of the change at this LSN; undefined when one of them has been
   * placed already, for positions never fall.
   * @param nth of the change's tables, so that no number depends on which of them are described
   */
  descriptionAt(high: number, low: number, nth: number): Position | undefined {
    if (this.#isBehind(high, low)) this.#at(high, low);
    const position = `${this.#change.slice(0, -1)}a${hex8(nth).slice(2)}`;
    const newest = this.#held === undefined ? this.#newest : this.#heldPosition;
    return position > newest ? (position as Position) : undefined;
  }

  /** What follows in this transaction carries it. */
  carry(lineage: CarriedLineage): void {
    if (this.#transaction === undefined) throw new BugError("LOG_OUT_OF_ORDER", "a lineage outside of a transaction");
    this.#transaction = { ...this.#transaction, lineage };
  }

  /** The next event. It comes out when another one or the commit follows. Returns false when the stream has it already. */
  push(position: string, event: Held): boolean {
    if (this.#stored !== undefined && position <= this.#stored) return false;
    this.#release("");
    this.#held = event;
    this.#heldPosition = position;
    this.#heldTransaction = this.#transaction;
    return true;
  }

  /**
   * An event outside of all transactions, complete by itself.
   * @param high of its LSN, which is the end of its record: one less goes in, as with every exclusive end
   * @param make what stands at its position (bare)
   */
  standalone(high: number, low: number, make: (position: string) => Unplaced<Marker> | PoisonRow): void {
    if (this.#transaction !== undefined) throw new BugError("LOG_OUT_OF_ORDER", "a lone message inside a transaction");
    const last = low === 0 ? hex16(high - 1, 0xffffffff) : hex16(high, low - 1);
    const bareText = `${this.#history}${last}.${last}.m000000`;
    if (bareText <= this.#newest) return;
    this.#flushRest();
    this.#newest = bareText;
    this.#atBoundary = true;
    const made = make(bareText);
    const position = `${bareText}+` as Position;
    if ("error" in made) this.#add({ type: "poison", position, transaction: undefined, ...made }, made.raw.length);
    else this.#add({ ...made, transaction: undefined, position }, made.data.length + MESSAGE_OVERHEAD_BYTES);
  }

  /** @param high of the first byte that no longer belongs to the transaction */
  commit(high: number, low: number): void {
    if (this.#transaction === undefined) throw new BugError("LOG_OUT_OF_ORDER", "a commit without a transaction");
    const empty = this.#held === undefined;
    this.#release("+");
    this.#transaction = undefined;
    this.#atBoundary = true;
    if (empty) this.advance(high, low);
  }

  /** The log is through up to here (exclusive) and no transaction is open; a newer one replaces it until it is taken. */
  advance(high: number, low: number): void {
    const rest = low === 0 ? restAt(this.#history, high - 1, 0xffffffff) : restAt(this.#history, high, low - 1);
    if (bare(rest) <= this.#newest) return;
    this.#newest = bare(rest);
    this.#atBoundary = true;
    this.#rest = rest;
  }

  /** The event that was pushed last is of this version: the description comes out before it. */
  describe(version: CollectionVersion, position: Position | undefined): void {
    const transaction = this.#heldTransaction as Transaction;
    this.#flushRest(); // it stands before this transaction
    this.#add({ type: "described", version, transaction, position }, MESSAGE_OVERHEAD_BYTES);
    this.#hasDescription = true;
  }

  /** Whether a description is among what `take` gives next. */
  get hasDescription(): boolean {
    return this.#hasDescription;
  }

  /** What can never come: it comes out as soon as the log stands between two transactions, with that place. */
  tell(lost: Omit<Lost, "type" | "position">): void {
    this.#lost.push(lost);
  }

  /** Whether there is enough to hand out, in messages or in bytes. */
  full(maxMessages: number, maxBytes: number): boolean {
    return this.#messages.length >= maxMessages || this.#bytes >= maxBytes;
  }

  /** Those of the messages that `take` gives next, in order; take them first. */
  takeMissingToast(): readonly RowMissingToast[] {
    const unread = this.#missingToast;
    if (unread.length > 0) this.#missingToast = [];
    return unread;
  }

  /** All that is ready, in order. */
  take(): readonly SourceMessage[] {
    this.#flushRest();
    if (this.#lost.length > 0 && this.#atBoundary && this.#transaction === undefined) {
      const position = `${this.#newest}+` as Position;
      for (const lost of this.#lost.splice(0)) this.#messages.push({ type: "lost", ...lost, position });
    }
    const messages = this.#messages;
    if (messages.length > 0) {
      this.#messages = [];
      this.#bytes = 0;
      this.#hasDescription = false;
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
    const transaction = this.#heldTransaction as Transaction;
    if ("error" in held) {
      this.#add({ type: "poison", position, transaction, ...held }, held.raw.length);
    } else {
      const bytes = held.data.length + MESSAGE_OVERHEAD_BYTES;
      if (held.type !== "change") {
        this.#add({ ...held, transaction, position }, bytes);
        return;
      }
      const { kind, lane, key, data, missingToast: unread } = held;
      if (unread !== undefined) {
        this.#missingToast.push({ index: this.#messages.length, transaction: transaction.id ?? "", row: unread });
        this.#bytes += unread.bytes;
      }
      this.#add({ type: "change", kind, lane, key, transaction, position, data }, bytes);
    }
  }

  #add(message: SourceMessage, bytes: number): void {
    this.#messages.push(message);
    this.#bytes += bytes;
  }

  /** Whether the newest change is before this LSN. */
  #isBehind(high: number, low: number): boolean {
    return high > this.#high || (high === this.#high && low > this.#low);
  }

  /** The change at this LSN begins. */
  #at(high: number, low: number): void {
    this.#high = high;
    this.#low = low;
    this.#count = -1;
    this.#change = `${this.#prefix}${hex16(high, low)}.r`;
  }

  #flushRest(): void {
    if (this.#rest === undefined) return;
    this.#messages.push({ type: "commit", position: this.#rest });
    this.#rest = undefined;
  }
}
