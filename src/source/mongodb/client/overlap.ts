// How a change stream goes on behind a place whose token the server refuses, though its log reaches back that far: it is opened
// at the place's time, and what that shows again is left out. What a mongos shows again by itself is left out here, too.

import { fieldsOf, Type } from "../values/bson.ts";
import type { Batch, ChangeCursor } from "./change-cursor.ts";
import { serverCode, translateError } from "./errors.ts";
import { type ClusterTime, isEarlier, type Place } from "./position.ts";
import { tokenText, tokenTime } from "./resume-token.ts";

/** ChangeStreamFatalError, of which "the resume token was not found" is one; InvalidResumeToken; a KeyString of another format. */
const REFUSALS: ReadonlySet<unknown> = new Set([280, 260, 50811]);

export interface OpenedStream {
  readonly batch: Batch;
  /** All batches go through it, where it is there. */
  readonly overlap: NewsFilter | undefined;
}

/** Leaves out of the first answers of a stream what stands before the place where it goes on. */
export interface NewsFilter {
  /** Whether all that comes stands behind the place. */
  readonly isOver: boolean;
  /** The events of an answer that stand behind the place. @throws HistoryLostError */
  take(answer: Batch): readonly Buffer[];
}

/**
 * Opens a stream behind a place.
 * @param isOwn whether the place's token was given by a stream of the same settings: only another one's may be unknown to the log
 * @param mayRepeat whether the server may show events again that stand before the place, as a mongos may behind an invalidate
 * @throws HistoryLostError; what the driver throws
 */
export async function openBehind(
  cursor: ChangeCursor,
  place: Place,
  isOwn: boolean,
  mayRepeat = false,
): Promise<OpenedStream> {
  let refusal: unknown;
  if (place.token !== undefined) {
    try {
      return { batch: await cursor.open(place), overlap: mayRepeat ? new Repeats(place) : undefined };
    } catch (error) {
      if (!REFUSALS.has(serverCode(error))) throw translateError(error, true);
      refusal = error;
    }
  }
  const batch = await cursor.open({ ...place, token: undefined }).catch((thrown: unknown) => {
    throw translateError(thrown, true);
  });
  if (refusal === undefined && place.ordinal === 0) return { batch, overlap: undefined };
  return { batch, overlap: new Overlap(place, refusal && isOwn ? translateError(refusal, true) : undefined) };
}

/** Leaves out events of earlier times than a place's, and the place's own: no others can be told from news. */
export class Repeats implements NewsFilter {
  readonly #place: Place;
  #over = false;

  constructor(place: Place) {
    this.#place = place;
  }

  get isOver(): boolean {
    return this.#over;
  }

  take({ events, token }: Batch): readonly Buffer[] {
    const from = this.#over ? 0 : events.findIndex((event) => this.#isNews(event));
    const upTo = token && tokenTime(tokenText(token));
    this.#over ||= from >= 0 || (upTo === undefined ? events.length === 0 : !isEarlier(upTo, this.#place.time));
    return from < 0 ? [] : events.slice(from);
  }

  #isNews(event: Buffer): boolean {
    const { token, time } = headOf(event);
    const at = time ?? (token === undefined ? undefined : tokenTime(token));
    return token !== this.#place.token && (at === undefined || !isEarlier(at, this.#place.time));
  }
}

/** Leaves out the events that stand at a place's time and not behind the place. */
export class Overlap implements NewsFilter {
  readonly #place: Place;
  readonly #refusal: Error | undefined;
  /** How many of them were seen. */
  #seen = 0;
  #over = false;

  /** @param refusal thrown where the log does not show the place's own event: then it is another log. Undefined: it need not */
  constructor(place: Place, refusal: Error | undefined) {
    this.#place = place;
    this.#refusal = refusal;
  }

  get isOver(): boolean {
    return this.#over;
  }

  take({ events }: Batch): readonly Buffer[] {
    if (!this.#over && events.length === 0) this.#end(); // all that there is at that time was seen
    return this.#over ? events : events.filter((event) => this.#over || this.#isBehind(event));
  }

  #isBehind(event: Buffer): boolean {
    const { token: own, time: at, idle, ordinal } = this.#place;
    const { token, time, isLast } = headOf(event);
    if (time !== undefined && isEarlier(at, time)) {
      this.#end();
      return true;
    }
    if (token === own) {
      this.#over = true;
      return false;
    }
    if (idle > 0 || own === undefined) {
      // No event has its token: as many as stand at its time were read.
      if (this.#seen >= ordinal) return true;
      if (isLast) this.#seen++;
      return false;
    }
    if (this.#refusal !== undefined) return false;
    // The event of the place may be none of this stream's. Tokens of one time that can be read rise; of others, rather again than never.
    return token === undefined || !isReadable(token) || !isReadable(own) || token > own;
  }

  #end(): void {
    this.#over = true;
    if (this.#refusal !== undefined && this.#place.idle === 0) throw this.#refusal;
  }
}

interface Head {
  readonly token: string | undefined;
  readonly time: ClusterTime | undefined;
  /** Whether an event ends with it: it is whole, or the last fragment. */
  readonly isLast: boolean;
}

/** What tells where an event stands; only the first fragment of a split one has a time. */
function headOf(event: Buffer): Head {
  let token: string | undefined;
  let time: ClusterTime | undefined;
  let isLast = true;
  for (const { type, nameFrom, from, to } of fieldsOf(event)) {
    const name = event.toString("utf8", nameFrom, from - 1);
    if (name === "_id" && type === Type.document) token = tokenText(event.subarray(from, to));
    if (name === "clusterTime" && type === Type.timestamp)
      time = { t: event.readUInt32LE(from + 4), i: event.readUInt32LE(from) };
    if (name === "splitEvent" && type === Type.document) isLast = isLastFragment(event, from, to);
  }
  return { token, time, isLast };
}

/** @param from of its `splitEvent`: two int32, the fragment's number and how many there are */
function isLastFragment(event: Buffer, from: number, to: number): boolean {
  const [fragment, of] = [...fieldsOf(event, from, to)].map((field) => event.readInt32LE(field.from));
  return fragment === of;
}

function isReadable(token: string): boolean {
  return tokenTime(token) !== undefined;
}
