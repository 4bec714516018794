// Stores events with the records of their ids, many at once, each as part of one atomic batch.
//
// What holds at each step. Before the batch: nothing is stored. It is committed: records and event stand, or, where one of
// its ids has a record already, nothing of it. The answer is lost: either one holds, and the same batch is sent again: its
// own records refuse it if it was stored, and their nonce says that they are its own. Killed: the sender was not answered
// and sends again; then the record that stands says whether it was stored.
//
// A server takes few batches at once (50 a stream), and stages each for itself: what waits meanwhile goes in one batch.

import { JetStreamApiError } from "@nats-io/jetstream";
import { realClock } from "../../../clock.ts";
import { BugError, TransientError } from "../../../errors.ts";
import type { Received, ReceivedKey } from "../../bus.ts";
import { apiCodes } from "../client/api-codes.ts";
import { busError } from "../client/bus-errors.ts";
import { MAX_BATCH_MESSAGES, PublishRefused, type StoredMessage } from "../stream/port.ts";
import type { Acks } from "./acks.ts";
import { type EncodedEvent, encodeReceipts, type Receipt, readRecord, receiptOf } from "./receipt.ts";

/** Batches under way at once. Of the server's 50 a stream, so that several workers have room. */
const MAX_FLIGHTS = 4;
/** Of the events of one batch, unless it is one alone. */
const MAX_BYTES = 1024 * 1024;
/** How long one is tried; senders give up soon after. */
const TRY_MS = 5000;
const ACK_MS = 2000;
const AGAIN_MS = 50;

/** A receipt on its way. */
interface Entry extends Receipt {
  /** Until when it is tried, by the clock's `now`. */
  readonly untilMs: number;
  /** It goes in no batch with others. */
  alone: boolean;
  ended: boolean;
  resolve(outcome: Received): void;
  reject(error: Error): void;
}

export interface IntakeOptions {
  readonly instance: string;
  readonly acks: Acks;
  /** Makes the stream, or gives it what it lacks. @throws TransientError, ConfigError */
  make(): Promise<void>;
  /** The newest message of a subject, through the stream's leader. @throws TransientError, ConfigError */
  newest(subject: string): Promise<StoredMessage | undefined>;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #queue: Entry[] = [];
  /** Of each record's subject, the one that is under way, and those that wait for what becomes of it. */
  readonly #claimed = new Map<string, Entry[]>();
  #flights = 0;
  #batches = 0;
  /** Whether the stream is known to be what it must be. */
  #made = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** See `Bus.receive`. */
  receive(event: EncodedEvent, keys: readonly ReceivedKey[]): Promise<Received> {
    return new Promise((resolve, reject) => {
      const untilMs = realClock.now() + TRY_MS;
      this.#enter({ ...receiptOf(event, keys), untilMs, alone: false, ended: false, resolve, reject });
    });
  }

  /** Two with one id are never in one batch, nor under way together. */
  #enter(receipt: Entry): void {
    for (const { subject } of receipt.records) {
      const waiting = this.#claimed.get(subject);
      if (waiting === undefined) continue;
      waiting.push(receipt);
      return;
    }
    for (const { subject } of receipt.records) this.#claimed.set(subject, []);
    this.#queue.push(receipt);
    // Whoever comes in the same turn goes along.
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    while (this.#flights < MAX_FLIGHTS && this.#queue.length > 0) {
      const batch = this.#take();
      this.#flights++;
      void this.#send(batch).finally(() => {
        this.#flights--;
        this.#pump();
      });
    }
  }

  #take(): readonly Entry[] {
    const batch: Entry[] = [];
    let [messages, bytes] = [0, 0];
    for (const receipt of this.#queue) {
      messages += receipt.records.length + 1;
      bytes += receipt.event.head.length + receipt.event.data.length;
      if (batch.length > 0 && (receipt.alone || bytes > MAX_BYTES || messages > MAX_BATCH_MESSAGES)) break;
      batch.push(receipt);
      if (receipt.alone) break;
    }
    this.#queue.splice(0, batch.length);
    return batch;
  }

  /** Never rejects. */
  async #send(batch: readonly Entry[]): Promise<void> {
    try {
      if (!this.#made) await this.#options.make();
      this.#made = true;
      const id = `${this.#options.instance}.in.${++this.#batches}`;
      const messages = encodeReceipts(batch, id);
      const ack = await this.#options.acks.send(messages, ACK_MS);
      if (ack.batch !== id || ack.count !== messages.length) throw takenApart();
      for (const receipt of batch) this.#end(receipt, () => receipt.resolve({ stored: true }));
    } catch (thrown) {
      await this.#failed(batch, thrown).catch((error: unknown) => this.#giveUp(batch, error));
    }
  }

  async #failed(batch: readonly Entry[], thrown: unknown): Promise<void> {
    // It may be stored or not, or no stream was there to take it.
    const unknown = thrown instanceof TransientError;
    if (!unknown && !(thrown instanceof PublishRefused)) return this.#giveUp(batch, thrown);
    if (!unknown && apiCodes.wrongLast.includes(thrown.apiCode)) return this.#lookUp(batch, thrown);
    this.#made = false;
    const passing = unknown || apiCodes.batchNotTaken.includes(thrown.apiCode);
    if (!passing && batch.length === 1) return this.#giveUp(batch, thrown);
    // Of several, one may be what is refused.
    for (const receipt of batch) receipt.alone ||= !passing;
    return this.#again(batch, thrown);
  }

  /** Which of the ids are known, of a batch that was refused for one of them. */
  async #lookUp(batch: readonly Entry[], refused: PublishRefused): Promise<void> {
    const open = await Promise.all(batch.map((receipt) => this.#isOpen(receipt)));
    const rest = batch.filter((_, index) => open[index]);
    // None, though it was refused: what has the id is under way by another worker.
    if (rest.length === batch.length) for (const receipt of rest) receipt.alone = true;
    return this.#again(rest, refused);
  }

  /** Ends it where one of its records stands; else says that none does. */
  async #isOpen(receipt: Entry): Promise<boolean> {
    const found = await Promise.all(receipt.records.map(({ subject }) => this.#options.newest(subject)));
    const standing = found.find((record) => record !== undefined);
    if (standing === undefined) return true;
    const { nonce, note } = readRecord(standing.data);
    const outcome: Received = nonce === receipt.nonce ? { stored: true } : { stored: false, note };
    this.#end(receipt, () => receipt.resolve(outcome));
    return false;
  }

  async #again(batch: readonly Entry[], thrown: Error): Promise<void> {
    const now = realClock.now();
    const over = batch.filter(({ untilMs }) => untilMs <= now);
    this.#giveUp(over, thrown);
    if (over.length === batch.length) return;
    await realClock.sleep(AGAIN_MS);
    this.#queue.unshift(...batch.filter((receipt) => !over.includes(receipt)));
  }

  #giveUp(batch: readonly Entry[], thrown: unknown): void {
    const error =
      thrown instanceof PublishRefused
        ? new JetStreamApiError({ code: 400, err_code: thrown.apiCode, description: thrown.message })
        : thrown;
    for (const receipt of batch) this.#end(receipt, () => receipt.reject(busError(error, "store what was received")));
  }

  /** Those that waited for what became of it look for themselves. */
  #end(receipt: Entry, tell: () => void): void {
    if (receipt.ended) return;
    receipt.ended = true;
    tell();
    for (const { subject } of receipt.records) {
      const waiting = this.#claimed.get(subject) ?? [];
      this.#claimed.delete(subject);
      for (const one of waiting) void this.#after(one);
    }
  }

  /** Never rejects. */
  async #after(receipt: Entry): Promise<void> {
    try {
      if (await this.#isOpen(receipt)) this.#enter(receipt);
    } catch (thrown) {
      this.#giveUp([receipt], thrown);
    }
  }
}

function takenApart(): BugError {
  return new BugError("BUS_BATCH_TAKEN_APART", "nats-server did not store what was received as one batch", {
    hint: "run nats-server 2.12 or newer on each server of the cluster",
  });
}
