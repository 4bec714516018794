// A change stream over the double's oplog: opened at one of three places, read in batches, ended by an invalidate.

import type { BSON } from "mongodb";
import { CommandError, historyLost, tokenNotFound } from "./command-error.ts";
import { bytesOf, eventOf, isShown, keyText, type MadeEvent, type StreamOptions } from "./event.ts";
import { matches } from "./match.ts";
import type { Change, Oplog } from "./oplog.ts";
import { type ClusterTime, compareTimes, eventToken, readToken, timeToken } from "./token.ts";

export interface StreamBatch {
  readonly events: readonly Buffer[];
  readonly token: string;
  /** Nothing more comes. */
  readonly ended: boolean;
}

export interface StreamLimits {
  /** What a document may hold. */
  readonly maxEventBytes: number;
  readonly maxReplyBytes: number;
  readonly maxEvents: number;
  /** How many changes before it a stream shows again that goes on behind an invalidate. */
  readonly repeats: number;
}

export class ChangeStream {
  readonly #oplog: Oplog;
  readonly #limits: () => StreamLimits;
  /** Undefined: of the whole cluster. */
  readonly #database: string | undefined;
  readonly #options: StreamOptions;
  readonly #match: BSON.Document;
  /** Members that are left out. */
  readonly #left: readonly string[];
  readonly #splits: boolean;
  #next = 0;
  /** Of the next event, how many fragments were read. */
  #fragments = 0;
  #token: string;
  /** The change behind which it goes on, though it shows some before that again. */
  #hidden: number | undefined;
  #ended = false;

  /** @throws CommandError */
  constructor(oplog: Oplog, database: string, pipeline: readonly BSON.Document[], limits: () => StreamLimits) {
    const [{ $changeStream: options } = {}, ...rest] = pipeline;
    this.#oplog = oplog;
    this.#limits = limits;
    this.#options = options;
    this.#database = options.allChangesForCluster === true ? undefined : database;
    const filters = rest.flatMap(({ $match }) => ($match === undefined ? [] : [$match]));
    this.#left = rest.flatMap(({ $project }) => Object.keys($project ?? {}));
    const known = ["$match", "$project", "$changeStreamSplitLargeEvent"];
    const unknown = rest.find((stage) => !Object.keys(stage).every((name) => known.includes(name)));
    if (unknown) throw new CommandError(40324, "Location40324", `Unrecognized pipeline stage: ${Object.keys(unknown)}`);
    this.#match = filters.length === 0 ? {} : { $and: filters };
    this.#splits = rest.at(-1)?.$changeStreamSplitLargeEvent !== undefined;
    this.#token = this.#start(options);
  }

  /** @throws CommandError */
  read(asked: number): StreamBatch {
    const batchSize = Math.min(asked, this.#limits().maxEvents);
    const events: MadeEvent[] = [];
    let bytes = 0;
    try {
      while (!this.#ended && events.length < batchSize) {
        if (this.#next === this.#hidden) this.#next++;
        const change = this.#oplog.at(this.#next);
        if (change === undefined) break;
        const made = this.#made(change).slice(this.#fragments);
        const fit = made.slice(0, batchSize - events.length).filter((one) => {
          bytes += one.bytes.length;
          return events.length === 0 || bytes <= this.#limits().maxReplyBytes;
        });
        events.push(...fit);
        if (fit.length < made.length) {
          this.#fragments += fit.length;
          break;
        }
        this.#pass(change, fit);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new CommandError(136, "CappedPositionLost", "CollectionScan died due to position in capped collection");
    }
    this.#token = this.#tokenBehind(events.at(-1));
    return { events: events.map((event) => event.bytes), token: this.#token, ended: this.#ended };
  }

  /** Behind a change that was read whole. */
  #pass(change: Change, made: readonly MadeEvent[]): void {
    this.#next++;
    this.#fragments = 0;
    this.#ended = made.length > 0 && this.#isInvalidated(change);
  }

  #tokenBehind(last: MadeEvent | undefined): string {
    const scanned = this.#next > this.#oplog.start ? this.#oplog.at(this.#next - 1) : undefined;
    if (last !== undefined && this.#fragments > 0) return last.token;
    if (scanned === undefined) return last?.token ?? this.#token;
    const place = last && readToken(last.token);
    // An event stands behind the mark of its own time.
    if (place !== undefined && compareTimes(place.time, scanned.time) >= 0) return last?.token ?? this.#token;
    const mark = timeToken(scanned.time);
    return compareTimes(readToken(this.#token).time, scanned.time) < 0 ? mark : this.#token;
  }

  /** The events that a change makes in this stream. @throws CommandError 10334 */
  #made(change: Change): readonly MadeEvent[] {
    const { database, kind } = change;
    if (this.#database !== undefined && database !== this.#database && kind !== "noop") return [];
    if (!isShown(change, this.#options)) return [];
    const event = eventOf(change, this.#options, this.#oplog);
    if (!matches(this.#match, event)) return [];
    for (const member of this.#left) delete event[member];
    const { maxEventBytes: maxBytes } = this.#limits();
    const made = bytesOf(change, event, { maxBytes, splits: this.#splits });
    if (!this.#isInvalidated(change)) return made;
    const invalidate = { operationType: "invalidate", clusterTime: event.clusterTime, wallTime: event.wallTime };
    return [...made, ...bytesOf(change, invalidate, { maxBytes, splits: false, invalidates: true })];
  }

  #isInvalidated({ kind, database }: Change): boolean {
    return kind === "dropDatabase" && database === this.#database;
  }

  /** Finds where it begins. @returns the token of that place @throws CommandError */
  #start({ resumeAfter, startAfter, startAtOperationTime }: BSON.Document): string {
    const given = [resumeAfter, startAfter, startAtOperationTime].filter((one) => one !== undefined);
    if (given.length > 1) {
      throw new CommandError(40674, "Location40674", "Only one type of resume option is allowed");
    }
    if (startAtOperationTime !== undefined) {
      const { t, i } = startAtOperationTime as BSON.Timestamp;
      return this.#startAt({ t, i });
    }
    const token = (startAfter ?? resumeAfter)?._data;
    if (token === undefined && given.length === 0) return this.#startAt(this.#oplog.tick());
    const place = readToken(token);
    if (place.index === undefined) return this.#startAt(place.time);
    if (place.invalidates === true && resumeAfter !== undefined) {
      throw new CommandError(
        260,
        "InvalidResumeToken",
        "Attempting to resume a change stream using 'resumeAfter' is not allowed from an invalidate notification.",
      );
    }
    this.#startAt(place.time);
    for (let number = this.#next; ; number++) {
      const change = this.#oplog.at(number);
      if (change === undefined || compareTimes(change.time, place.time) > 0) throw tokenNotFound();
      if (change.index === place.index && compareTimes(change.time, place.time) === 0) break;
      this.#next = number + 1;
    }
    const change = this.#oplog.at(this.#next) as Change;
    if (eventToken({ ...place, key: keyText(change) }) !== token) throw tokenNotFound();
    this.#resumeBehind(change, place.fragment ?? 0, place.invalidates === true);
    return token;
  }

  #resumeBehind(change: Change, fragment: number, invalidates: boolean): void {
    this.#goBehind(change, fragment, invalidates);
    const { repeats } = this.#limits();
    if (!invalidates || repeats === 0) return;
    this.#hidden = this.#next - 1;
    this.#next = Math.max(this.#oplog.start, this.#hidden - repeats);
  }

  #goBehind(change: Change, fragment: number, invalidates: boolean): void {
    if (fragment === 0 && !this.#isInvalidated(change)) {
      this.#next++;
      return;
    }
    const made = this.#made(change);
    // With other options it may not be split, or into other parts.
    if (fragment > 0 && (made.length < fragment || made.length === 1)) throw tokenNotFound();
    const behindDrop = this.#isInvalidated(change) && !invalidates && made.length > 1;
    if (behindDrop) this.#fragments = 1;
    else if (fragment > 0 && fragment < made.length) this.#fragments = fragment;
    else this.#next++;
  }

  #startAt(time: ClusterTime): string {
    if (compareTimes(time, this.#oplog.oldest) < 0) throw historyLost();
    this.#next = this.#oplog.numberAt(time);
    return timeToken(time);
  }
}
