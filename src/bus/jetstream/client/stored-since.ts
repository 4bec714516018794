// Which messages were stored before a crash, beyond the time for which the server itself remembers ids. Behind a crash all that
// was in hand asks, amid as many letters as there were failures: so who asks while a walk is under way shares the next one, and
// what one walk passed is remembered by id and number, within bounds, for the next to go on from there.
//
// What is remembered may be gone: a server that was set back gives its numbers to others. So each walk begins at the newest message that
// is remembered, and is a whole one where that does not stand; and what is found is read once more before it counts.

import type { JetStreamManager, StoredMsg } from "@nats-io/jetstream";
import { apiCodes } from "./api-codes.ts";
import { orNothing } from "./bus-errors.ts";
import { messagesUnder } from "./streams.ts";

export const MSG_ID = "Nats-Msg-Id";
/** By so much the server's clock may be behind that of who says since when. */
const CLOCKS_DIFFER_MS = 10 * 60_000;
/** Of all that is remembered of one stream. */
const MAX_BYTES = 16 * 1024 * 1024;
/** What an id costs beside its characters. */
const ENTRY_BYTES = 100;

export interface Sought {
  readonly subject: string;
  readonly id: string;
  /** Ms since 1970. */
  readonly since: number;
}

interface Ask {
  readonly id: string;
  readonly from: number;
  readonly resolve: (seq: number | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** What is remembered of the messages of one subject. */
class Known {
  /** The newest number of each id. */
  readonly ids = new Map<string, number>();
  bytes = 0;
  /** All that was stored from then on is in `ids`, up to `newest`: ms since 1970, by the server's clock. */
  from: number = Number.POSITIVE_INFINITY;
  first: number = Number.POSITIVE_INFINITY;
  newest: { readonly seq: number; readonly id: string } | undefined;
  /** It had no room: what is walked through now is not remembered. */
  dropped = false;
}

interface Subject {
  known: Known;
  readonly asks: Ask[];
  walking: boolean;
}

/** The look into one stream. */
export class StoredSince {
  readonly #jsm: JetStreamManager;
  readonly #stream: string;
  readonly #maxBytes: number;
  /** That of which was asked last is the last. */
  readonly #subjects = new Map<string, Subject>();
  #bytes = 0;

  constructor(jsm: JetStreamManager, stream: string, maxBytes: number = MAX_BYTES) {
    this.#jsm = jsm;
    this.#stream = stream;
    this.#maxBytes = maxBytes;
  }

  /**
   * The newest message of a subject with this `Nats-Msg-Id`, if one was stored since then. Of all that ask it costs one request for
   * each message of the subject from there on, and three for each that asks.
   * @throws what the client does
   */
  async find({ subject, id, since }: Sought): Promise<StoredMsg | undefined> {
    const from = since - CLOCKS_DIFFER_MS;
    const seq = await this.#ask(subject, id, from);
    if (seq === undefined) return undefined;
    const reading = this.#jsm.streams.getMessage(this.#stream, { seq });
    const found = await orNothing(reading, apiCodes.noMessageFound, apiCodes.streamNotFound);
    const isIt = found?.subject === subject && found.header.get(MSG_ID) === id && found.time.getTime() >= from;
    return isIt ? found : undefined;
  }

  #ask(name: string, id: string, from: number): Promise<number | undefined> {
    const subject = this.#subjects.get(name) ?? { known: new Known(), asks: [], walking: false };
    this.#subjects.delete(name);
    this.#subjects.set(name, subject);
    return new Promise((resolve, reject) => {
      subject.asks.push({ id, from, resolve, reject });
      if (!subject.walking) void this.#serve(name, subject);
    });
  }

  /** Never rejects: who asked is told. */
  async #serve(name: string, subject: Subject): Promise<void> {
    subject.walking = true;
    while (subject.asks.length > 0) {
      const asks = subject.asks.splice(0);
      try {
        const found = await this.#walk(name, subject, asks);
        for (const { id, resolve } of asks) resolve(found.get(id));
      } catch (error) {
        this.#drop(subject);
        for (const { reject } of asks) reject(error);
      }
    }
    subject.walking = false;
  }

  /** The newest numbers of what is asked for: what is remembered, and what was stored behind and before that. */
  async #walk(name: string, subject: Subject, asks: readonly Ask[]): Promise<ReadonlyMap<string, number>> {
    const from = Math.min(...asks.map((ask) => ask.from));
    const found = new Map<string, number | undefined>(asks.map(({ id }) => [id, undefined]));
    const pass = (known: Known, message: StoredMsg): void => {
      const { seq } = message;
      const id = message.header.get(MSG_ID);
      if (found.has(id)) found.set(id, Math.max(seq, found.get(id) ?? 0));
      if (!known.dropped) this.#remember(known, id, seq);
    };
    await this.#goOn(name, subject, pass);
    const { known } = subject;
    if (known.newest === undefined || from < known.from) {
      const until = known.first;
      for await (const message of messagesUnder(this.#jsm, this.#stream, name, new Date(from))) {
        if (message.seq >= until) break;
        pass(known, message);
      }
      known.from = from;
    }
    for (const [id, seq] of found) found.set(id, seq ?? known.ids.get(id));
    return found as ReadonlyMap<string, number>;
  }

  /** Passes what was stored behind the newest that is remembered; forgets all where that one does not stand. */
  async #goOn(name: string, subject: Subject, pass: (known: Known, message: StoredMsg) => void): Promise<void> {
    const { known } = subject;
    const { newest } = known;
    if (newest === undefined) return;
    let stands = false;
    for await (const message of messagesUnder(this.#jsm, this.#stream, name, newest.seq)) {
      stands ||= message.seq === newest.seq && message.header.get(MSG_ID) === newest.id;
      if (!stands) break;
      pass(known, message);
    }
    if (!stands) this.#drop(subject);
  }

  #remember(known: Known, id: string, seq: number): void {
    const before = known.ids.get(id);
    if (before === undefined) {
      known.bytes += id.length + ENTRY_BYTES;
      this.#bytes += id.length + ENTRY_BYTES;
    }
    known.ids.set(id, Math.max(seq, before ?? 0));
    known.first = Math.min(seq, known.first);
    if (seq >= (known.newest?.seq ?? 0)) known.newest = { seq, id };
    if (this.#bytes > this.#maxBytes) this.#makeRoom(known);
  }

  /** Of what was asked for longest ago nobody may ask any more; where it is all of one subject, each walk is a whole one. */
  #makeRoom(mine: Known): void {
    const all = [...this.#subjects.values()];
    const others = all.filter(({ known }) => known !== mine);
    for (const subject of [...others, ...all.filter(({ known }) => known === mine)])
      if (this.#bytes > this.#maxBytes) this.#drop(subject);
  }

  /** A walk that is under way goes on, and remembers nothing. */
  #drop(subject: Subject): void {
    subject.known.dropped = true;
    this.#bytes -= subject.known.bytes;
    subject.known = new Known();
  }
}
