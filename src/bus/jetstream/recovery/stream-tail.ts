// Reading where a stream ends: by sequence, through its leader, backwards from a marker that nothing can get behind.

import type { Clock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import { laterPositions, type Place, type Positions, positionsAt } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import { isOwn, lostFrom, placeOf, type Range, resumedAt, writerLease } from "../stream/own-markers.ts";
import type { StoredMessage, StreamPort } from "../stream/port.ts";

/** The newest message of a stream that says where the source stands. */
export interface Tail {
  readonly message: StoredMessage;
  readonly place: Place;
}

/** What a walk needs of the port. */
export type Reader = Pick<StreamPort, "read" | "isRemoved">;

/**
 * A message inside of the stream: a leader that has just been elected may not have it yet, so "not found" means ask again.
 * Undefined when somebody has taken it out, which a later one proves that is there.
 * One answer may be lost: a walk back of hundreds of messages would else hardly ever end on a bus that loses some.
 */
export async function readWithRetry(port: Reader, clock: Clock, seq: number): Promise<StoredMessage | undefined> {
  let lost: Error | undefined;
  for (let tries = 0; tries < 20; tries++) {
    try {
      const message = await port.read(seq);
      if (message) return message;
      if (await port.isRemoved(seq)) return undefined;
    } catch (error) {
      if (!(error instanceof TransientError) || lost !== undefined) throw error;
      lost = error;
      continue;
    }
    await clock.sleep(50);
  }
  throw new TransientError(
    "BUS_MESSAGE_MISSING",
    `message ${seq} is inside the stream but its leader does not have it`,
    {
      hint: "it is tried again; if it stays: docs/operations/bus-changed-by-others.md",
    },
  );
}

/** A stream to walk back through. */
export interface Walk {
  readonly port: Reader;
  readonly clock: Clock;
  readonly source: SourceId;
  readonly firstSeq: number;
}

/** Hears of what a walk passes over. */
interface Passing {
  /** A message that is not ours. */
  foreign?(seq: number, subject: string): void;
  /** A message that somebody has taken out. */
  removed?(seq: number): void;
  /** Lost numbers that were filled. */
  lost?(range: Range): void;
  /** The first marker of a writer. */
  marker?(seq: number): void;
  /** A `history` marker that says that nothing before it counts: the walk ends there. */
  historyReset?(seq: number): void;
}

/**
 * The newest message at or below `from` that carries `Cdc-Pos`; undefined when there is none down to the stream's first, or
 * down to where a writer began anew. Goes past markers, fillings of lost numbers, messages that are not ours, and what somebody has taken out.
 */
export async function findTail(walk: Walk, from: number, passing: Passing = {}): Promise<Tail | undefined> {
  const { port, clock, source, firstSeq } = walk;
  for (let seq = from; seq >= firstSeq && seq > 0; ) {
    const message = await readWithRetry(port, clock, seq);
    if (message === undefined) {
      passing.removed?.(seq--);
      continue;
    }
    const place = placeOf(source, message);
    if (place) return { message, place };
    if (resumedAt(source, message) === null) {
      passing.historyReset?.(seq);
      return undefined;
    }
    const lost = lostFrom(source, message);
    if (lost !== undefined) passing.lost?.({ from: lost, to: seq });
    else if (writerLease(source, message) !== undefined) passing.marker?.(seq);
    else if (!isOwn(source, message) || isFenceSubject(source, message.subject))
      passing.foreign?.(seq, message.subject);
    seq = (lost ?? seq) - 1;
  }
  return undefined;
}

/** Where a stream ends, and what a walk back from there found. */
export interface Verified {
  /** The newest message that says where the source stands. */
  readonly end: Tail | undefined;
  /** The newest one of those that can be trusted. */
  readonly trusted: Tail | undefined;
  /** Numbers from a batch on that does not follow its predecessor. */
  readonly broken: Range | undefined;
  /** Lost numbers that were filled by a writer that did not come to say so. */
  readonly unrecordedLoss: Range | undefined;
  /** Numbers whose messages somebody has taken out, as far as the walk came. */
  readonly removed: Range | undefined;
  /** What stands at this number or before, an earlier writer has looked at and dealt with; 0 when none has. */
  readonly reconciledThrough: number;
}

/**
 * Checks that each batch from the end back names its predecessor (`Cdc-Prev`). A batch that does not, and all behind it, is
 * not to be trusted: the tail that is stands before it. It goes no further than an earlier writer that has done the same
 * and dealt with what it found: to a `history` marker, or to the first marker of a writer that has gone on to write.
 * @param from the newest message
 * @param floorSeq what stands here or before is known to be right
 */
export async function verifiedTail(
  walk: Walk,
  from: number,
  floorSeq: number,
  foreign: (seq: number, subject: string) => void,
): Promise<Verified> {
  const { port, clock, source, firstSeq } = walk;
  let broken: Range | undefined;
  let unsaid: Range | undefined;
  let dealtWith = 0;
  let marker = 0;
  let lost: Range | undefined;
  let removed: Range | undefined;
  const back = (seq: number, passing: Passing = {}): Promise<Tail | undefined> => {
    marker = 0;
    lost = undefined;
    return findTail(walk, seq, {
      ...passing,
      removed: (at) => {
        removed = joinRanges(removed, { from: at, to: at });
      },
      lost: (range) => {
        lost = joinRanges(lost, range);
      },
      marker: (at) => {
        marker ||= at;
      },
      historyReset: (at) => {
        dealtWith = at;
      },
    });
  };
  const end = await back(from, { foreign });
  let trusted = end;
  for (let at = end; ; ) {
    unsaid = joinRanges(unsaid, lost);
    if (at === undefined || at.message.seq <= floorSeq) break;
    const { message } = at;
    if (resumedAt(source, message) !== undefined) {
      dealtWith = message.seq;
      break;
    }
    const nth = Number(message.header("Nats-Batch-Sequence") ?? 1);
    const start = message.seq - nth + 1;
    if (start <= firstSeq) break;
    const first = nth === 1 ? message : await readWithRetry(port, clock, start);
    const known = removed;
    const before = await back(start - 1);
    if (first === undefined) removed = joinRanges(removed, { from: start, to: start });
    const previous = first?.header("Cdc-Prev");
    if (first === undefined || (removed !== known && before?.place.position !== previous)) {
      // What it names, or it itself, is one that was taken out.
    } else if (previous !== before?.place.position) {
      if (before === undefined && previous !== undefined) break; // its predecessor left with retention
      trusted = before;
      broken = { from: start, to: end?.message.seq ?? start };
    } else if (marker > 0 && Number(first.header("Nats-Expected-Last-Subject-Sequence")) === marker) {
      dealtWith = marker;
      break;
    }
    at = before;
  }
  return { end, trusted, broken, unrecordedLoss: unsaid, removed, reconciledThrough: dealtWith };
}

/** From the lower beginning to the higher end. */
export function joinRanges(a: Range | undefined, b: Range | undefined): Range | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return { from: Math.min(a.from, b.from), to: Math.max(a.to, b.to) };
}

/** Where only markers belong that say what the fence and the numbers are. */
function isFenceSubject(source: SourceId, subject: string): boolean {
  return subject === metaSubject(source, "writer") || subject === metaSubject(source, "lost");
}

const MAX_AHEAD = 64;

/** The port's `read`, which asks for up to 64 older messages along once it was asked for neighbours. Keeps only those. */
export function readBack(port: StreamPort): Reader {
  const ahead = new Map<number, Promise<StoredMessage | undefined>>();
  let window = 1;
  let last = 0;
  return {
    isRemoved: (seq) => port.isRemoved(seq),
    read: (seq) => {
      window = seq === last - 1 ? Math.min(window * 2, MAX_AHEAD) : seq === last ? window : 1;
      last = seq;
      const known = ahead.get(seq);
      ahead.delete(seq);
      if (known !== undefined) return known;
      ahead.clear(); // what was asked for and not used is behind us
      for (let older = seq - 1; older > Math.max(seq - window, 0); older--) {
        const asked = port.read(older);
        asked.catch(() => {}); // whoever needs it hears of it
        ahead.set(older, asked);
      }
      return port.read(seq);
    },
  };
}

/**
 * The newest places from `end` back to what a checkpoint covers, or to a `history` marker, which names them all; undefined
 * where the stream has none. A source without partitions is where `end` is.
 * @param floorSeq what stands here or before is in the checkpoint
 */
export async function rollForward(walk: Walk, end: Tail | undefined, floorSeq: number): Promise<Positions | undefined> {
  if (end === undefined) return undefined;
  const { port, clock, source, firstSeq } = walk;
  let reached = positionsAt(end.place);
  if (end.place.partition === undefined) return reached;
  for (let { seq } = end.message; seq > floorSeq && seq >= firstSeq; seq--) {
    const message = seq === end.message.seq ? end.message : await readWithRetry(port, clock, seq);
    if (message === undefined) continue;
    const place = placeOf(source, message);
    if (place !== undefined) reached = laterPositions(reached, positionsAt(place));
    const resumed = resumedAt(source, message);
    if (resumed !== undefined) return laterPositions(reached, resumed ?? undefined);
  }
  return reached;
}
