// One reading of a change stream: the server's batches to chunks for the worker, with places of an idle stream between them.

import type { MongoClient } from "mongodb";
import { TransientError } from "../../errors.ts";
import { isComplete } from "../../event/position.ts";
import type { SourceMessage } from "../source.ts";
import { type Batch, ChangeCursor, type StreamSettings } from "./client/change-cursor.ts";
import { driver } from "./client/driver.ts";
import { serverCode } from "./client/errors.ts";
import { openBehind } from "./client/overlap.ts";
import { type ClusterTime, isEarlier, type Place } from "./client/position.ts";
import { tokenText, tokenTime } from "./client/resume-token.ts";
import type { EventDecoder } from "./decode/event-decoder.ts";
import type { Oversize } from "./decode/poison-event.ts";
import { cannotPass, oversizeOf, readBare } from "./oversize-event.ts";

/** How long an answer is waited for when nothing happens. */
const WAIT_MS = 1_000;
/** The same while a transaction's last event waits: an empty answer says that it was the last. */
const SETTLE_MS = 50;
/** For how long it is asked again as soon, behind who was in a hurry. */
const HURRY_MS = 5_000;
/** How often the place of an idle stream is told, so that it never falls off the oplog. */
const IDLE_EVERY_MS = 10_000;
/** Of bodies: as many are handed out at once. */
const CHUNK_BYTES = 1024 * 1024;

/** BSONObjectTooLarge */
const TOO_LARGE = 10334;

export interface StreamReadingOptions {
  readonly client: MongoClient;
  readonly settings: StreamSettings;
  /** At the place where the reading begins. */
  readonly decoder: EventDecoder;
  /** Whether the token of that place was given by a stream of the same settings. */
  readonly isOwnToken: boolean;
  /** Whether an empty answer says that all of the log was seen: behind mongos it does not. */
  readonly answersForAll: boolean;
  readonly signal: AbortSignal;
  readonly onStarted: () => void;
}

export class StreamReading {
  readonly #options: StreamReadingOptions;
  #caughtUp = false;
  #asked: ClusterTime | undefined;
  #hurriesUntil = 0;
  #idleSince = performance.now();
  /** Decoded, and not handed out: what of a transaction is small waits for the rest. */
  #pending: SourceMessage[] = [];
  /** How many of them end with a transaction that is complete. */
  #complete = 0;
  #bytes = 0;
  /** Where the stream failed for good when it was read last. */
  #failedAt: Place | undefined;

  constructor(options: StreamReadingOptions) {
    this.#options = options;
  }

  /** Of the newest event that was read. */
  get place(): Place {
    return this.#options.decoder.place;
  }

  /** Whether the server had nothing more when it was asked last. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** As soon as all up to this time was read, a place at or behind it is handed out. */
  ask(time: ClusterTime): void {
    if (this.#asked === undefined || isEarlier(this.#asked, time)) this.#asked = time;
  }

  /** For some seconds an idle server is asked again at once, and not a second later: somebody waits for what it says. */
  hurry(): void {
    this.#hurriesUntil = performance.now() + HURRY_MS;
  }

  /** Ends by throwing or by the signal. @throws HistoryLostError; what the driver throws */
  async *chunks(): AsyncGenerator<readonly SourceMessage[], void> {
    const { decoder, signal } = this.#options;
    let how: Attempt = { isOwn: this.#options.isOwnToken };
    while (!signal.aborted) {
      const opened = decoder.place;
      try {
        yield* this.#readOn(how);
        if (decoder.place === opened && !signal.aborted) throw endedAtOnce(); // what waits before another attempt is the worker's
        how = { isOwn: true };
      } catch (thrown) {
        how = this.#nextAttempt(thrown, how, opened);
        if (how.oversize !== undefined) yield* this.#stepOver(how.oversize);
      }
    }
  }

  /** Reads one stream to its end. */
  async *#readOn({ isOwn, oneByOne = false }: Attempt): AsyncGenerator<readonly SourceMessage[], void> {
    const { client, settings, decoder, answersForAll, signal, onStarted } = this.#options;
    const cursor = new ChangeCursor(client, { ...settings, oneByOne }, signal);
    try {
      let asked = this.#asked;
      const { batch: first, overlap } = await openBehind(cursor, decoder.place, isOwn, !answersForAll);
      onStarted();
      for (let batch = first; ; ) {
        // A stream that is behind is asked on at once: the next batch comes while this one is written as JSON and stored.
        // It is the cursor's next answer either way, it is looked at behind all of this one, and one at most is on its way.
        const ahead = batch.full && !batch.ended ? this.#ask(cursor, SETTLE_MS) : undefined;
        yield* this.#handOut(batch, overlap?.take(batch) ?? batch.events);
        if (overlap?.isOver !== false) yield* this.#idle(batch, asked); // until then its token may stand before the place
        if (batch.ended || signal.aborted) break;
        const isSoon = (decoder.waits && answersForAll) || performance.now() < this.#hurriesUntil;
        const next = ahead ?? this.#ask(cursor, isSoon ? SETTLE_MS : WAIT_MS);
        asked = next.asked;
        batch = await next.answer;
      }
    } finally {
      await cursor.close();
    }
  }

  /** How to go on behind an error, where that is for the same reading to find out; else it is thrown. */
  #nextAttempt(thrown: unknown, how: Attempt, opened: Place): Attempt {
    const hasMoved = this.#options.decoder.place !== opened;
    if (isFatal(thrown) && this.#failedAt !== this.place) {
      // A healthy server has said so, too: it is asked once more at this place before the history counts as lost.
      this.#failedAt = this.place;
      return { isOwn: true };
    }
    if (serverCode(thrown) !== TOO_LARGE) throw thrown;
    // The events that were to come with it are lost with it: they are read first.
    if (!how.oneByOne || hasMoved) return { isOwn: true, oneByOne: true };
    // Behind mongos a place is sought by sending its event, so that there is no place behind one that cannot be sent.
    if (!this.#options.answersForAll) throw cannotPass(thrown);
    return { isOwn: true, oversize: oversizeOf(thrown) };
  }

  /** Puts aside the event behind the place, which is too large to be sent. */
  async *#stepOver(oversize: Oversize): AsyncGenerator<readonly SourceMessage[], void> {
    const { client, settings, decoder, signal } = this.#options;
    const raw = await readBare(client, { settings, place: decoder.place, signal });
    if (raw !== undefined) this.#add(decoder.putAside(raw, oversize));
    if (this.#complete > 0) yield this.#take(this.#complete);
  }

  /** What was asked for before the server was: an answer can only speak of that. */
  #ask(
    cursor: ChangeCursor,
    waitMs: number,
  ): { readonly asked: ClusterTime | undefined; readonly answer: Promise<Batch> } {
    const answer = cursor.next(waitMs);
    answer.catch(() => {}); // heard when all before it has been handed out
    return { asked: this.#asked, answer };
  }

  /** @param events those of the answer that are news */
  *#handOut(answer: Batch, events: readonly Buffer[]): Generator<readonly SourceMessage[]> {
    const { decoder } = this.#options;
    this.#caughtUp = answer.events.length === 0;
    for (const event of events) {
      this.#add(decoder.decode(event));
      if (this.#bytes >= CHUNK_BYTES) yield this.#take(this.#pending.length);
    }
    const seen = answer.token && tokenTime(tokenText(answer.token));
    const isPassed = seen !== undefined && isEarlier(decoder.place.time, seen);
    if (isPassed || this.#saysAll(answer)) this.#add(decoder.settle());
    if (this.#complete > 0) yield this.#take(this.#complete);
  }

  /** A place behind all that was read, where nothing happened: at times, and where it is asked for. */
  *#idle(answer: Batch, askedBefore: ClusterTime | undefined): Generator<readonly SourceMessage[]> {
    const { decoder } = this.#options;
    const { token } = answer;
    if (this.#asked !== undefined && !isEarlier(decoder.place.time, this.#asked)) this.#asked = undefined;
    if (token === undefined || this.#pending.length > 0) return;
    const seen = tokenTime(tokenText(token)) ?? (this.#saysAll(answer) ? askedBefore : undefined);
    const isAsked = this.#asked !== undefined && seen !== undefined && !isEarlier(seen, this.#asked);
    if (!isAsked && performance.now() - this.#idleSince < IDLE_EVERY_MS) return;
    this.#add(decoder.idle(token, seen));
    if (this.#complete > 0) yield this.#take(this.#complete);
  }

  /** Whether all that the log held was seen when the server answered. */
  #saysAll({ events }: Batch): boolean {
    return events.length === 0 && this.#options.answersForAll;
  }

  #add(messages: readonly SourceMessage[]): void {
    this.#bytes += bytesOf(messages);
    for (const message of messages) {
      this.#pending.push(message);
      if (message.position !== undefined && isComplete(message.position)) this.#complete = this.#pending.length;
    }
  }

  #take(count: number): readonly SourceMessage[] {
    const chunk = this.#pending.splice(0, count);
    this.#complete = 0;
    this.#bytes = bytesOf(this.#pending);
    this.#idleSince = performance.now();
    return chunk;
  }
}

/** ChangeStreamFatalError: no driver goes on behind it. */
function isFatal(error: unknown): boolean {
  return error instanceof driver().MongoServerError && error.code === 280;
}

/** How a stream is opened. */
interface Attempt {
  readonly isOwn: boolean;
  /** Whether each answer is to hold one event, so that one that cannot be sent is found. */
  readonly oneByOne?: boolean;
  /** Why the event that comes next has to be put aside before. */
  readonly oversize?: Oversize;
}

function endedAtOnce(): TransientError {
  return new TransientError("SOURCE_STREAM_ENDED", "the server ended the change stream without an event", {
    hint: "Millrace opens it again; where it goes on, see the server's log.",
  });
}

/** Of their bodies. */
export function bytesOf(messages: readonly SourceMessage[]): number {
  let bytes = 0;
  for (const message of messages) if ("data" in message) bytes += message.data.length;
  return bytes;
}
