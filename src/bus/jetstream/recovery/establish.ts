// Starting to write, and starting again after anything went wrong: renew the lease, look for lost messages, publish a
// writer marker, and only then read where the stream ends. The order is the argument: before the marker is stored a batch
// of an older connection may still arrive; behind it, none can (its token is stale), so what is read then is final.

import type { Clock } from "../../../clock.ts";
import { FencedError, TransientError } from "../../../errors.ts";
import type { DataRef } from "../../../event/data-ref.ts";
import { laterPositions, type Place, type Positions, placesBehind, positionsFrom } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import type { SideProgress } from "../../source-stream.ts";
import { type Checkpoints, withIdle } from "../lease/checkpoint-store.ts";
import type { Lease } from "../lease/lease.ts";
import { type Range, writerLease } from "../stream/own-markers.ts";
import type { StreamPort, StreamState } from "../stream/port.ts";
import { beforeMissingBodies, newestLarge } from "./missing-bodies.ts";
import { newestProgress } from "./newest-progress.ts";
import { fillAndMark, writeHistory } from "./start-markers.ts";
import { joinRanges, type Reader, readBack, readWithRetry, rollForward, verifiedTail } from "./stream-tail.ts";

/** How often a marker may be refused because the stream moved under it. */
const MAX_TRIES = 50;
/** From so many messages on a walk back is told of: a second or two. */
const LONG_WALK = 10_000;

/** What the bus gives to whoever writes a stream or finds out where it ends. */
export interface StreamParts {
  readonly clock: Clock;
  /** Names this process. */
  readonly instance: string;
  /** Whether the whole body of a large event is in the object store. */
  readonly hasBody: (ref: DataRef) => Promise<boolean>;
  /** A message in the stream that is not ours. */
  readonly onForeign: (seq: number, subject: string) => void;
  /** Numbers among which somebody has taken messages out of the stream. */
  readonly onRemoved: (range: Range) => void;
}

/** The stream of a source that is written under a lease. */
export interface HeldStream extends StreamParts {
  readonly port: StreamPort;
  readonly source: SourceId;
  readonly lease: Lease;
}

export interface EstablishOptions extends HeldStream, Checkpoints {
  /** The highest sequence that this process knows to have been stored, and the stream's time of birth then. */
  readonly highest: number;
  readonly created: string | undefined;
  /** Why: written into the marker. */
  readonly reason: string;
  /** Called before so many messages are read back, at most, where that may take long. */
  readonly onReadBack?: (messages: number) => void;
  /** Ends it, with its reason. */
  readonly signal: AbortSignal;
}

export interface Established {
  /** Sequence of the writer marker. */
  readonly token: number;
  /** The stream's last message: its sequence and id. */
  readonly lastSeq: number;
  readonly lastId: string;
  /** The newest `Cdc-Pos` in the stream. */
  readonly tail: Place | undefined;
  /** The newest one of each partition, but of those of which the checkpoint alone tells. */
  readonly stored: Positions | undefined;
  /** Where the source goes on. */
  readonly resume: Positions | undefined;
  /** What stands here or before is in the stream already though the source reads it again, for bodies that are missing. */
  readonly storedThrough: Positions | undefined;
  /** Sequence of the newest large event in the stream; 0 when there is none. */
  readonly large: number;
  /** What the newest progress marker of the second producer says. */
  readonly progress: SideProgress | undefined;
  /** As `Writer.progressSeq`. */
  readonly progressSeq: number;
  readonly created: string;
  /** Numbers whose messages the bus had acknowledged and lost. */
  readonly lost: Range | undefined;
}

/**
 * What is read here is read over many round trips. A connection that goes on the way, even if each read was answered in the
 * end, may have gone with the bus' power: then what was read first may be lost by now, and nothing of it counts.
 * @throws FencedError, HistoryLostError; TransientError while the bus is away: then simply again
 */
export async function establish(options: EstablishOptions): Promise<Established> {
  const interruption = new AbortController();
  const stopListening = options.port.onDisruption(() => {
    const what = `the connection to the bus was interrupted while the end of the stream of ${options.source} was read`;
    interruption.abort(new TransientError("BUS_INTERRUPTED", what, { hint: "it is tried again" }));
  });
  // Heard at once, for nothing may be written behind it: numbers and token may fit a stream that is another one by now.
  const signal = AbortSignal.any([options.signal, interruption.signal]);
  try {
    const established = await markAndRead({ ...options, signal });
    signal.throwIfAborted();
    return established;
  } finally {
    stopListening();
  }
}

async function markAndRead(options: EstablishOptions): Promise<Established> {
  const { port, source, lease, checkpoint, idle, signal } = options;
  await lease.renew();
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    signal.throwIfAborted();
    const found = await lookForLoss(options);
    const previous = await newestMarker(port, source);
    if (previous.lease > lease.number) {
      throw new FencedError("WRITER_FENCED", `lease ${previous.lease} writes this stream; ours is ${lease.number}`, {
        hint: "nothing to do: that worker has taken over",
      });
    }
    const marker = await fillAndMark(options, { lastSeq: found.state.lastSeq, known: found.known }, previous.seq);
    if (marker === undefined) continue; // the stream moved under us: a batch of an older connection, or another writer
    const there = await readWithRetry(port, options.clock, marker.seq);
    if (there?.header("ce-id") !== marker.id) continue;
    const state = { ...found.state, lastSeq: marker.seq };
    // Only now: behind the marker it is sure whether the message that stood last was taken out.
    const intact = (await bearsOut(options, found.state)) ? checkpoint : undefined;
    const walk = { port: until(signal, readBack(port)), clock: options.clock, source, firstSeq: state.firstSeq };
    const behind = marker.seq - Math.max(intact?.streamSeq ?? 0, state.firstSeq);
    if (behind > LONG_WALK) options.onReadBack?.(behind);
    const floorSeq = intact?.streamSeq ?? 0;
    const tail = await verifiedTail(walk, marker.seq - 1, floorSeq, options.onForeign);
    const { end, trusted } = tail;
    if (tail.removed !== undefined) options.onRemoved(tail.removed);
    // What an earlier writer has dealt with is not a loss again only because no checkpoint has passed it yet.
    const doubts = found.lost === undefined && (found.recreated || (checkpoint !== undefined && intact === undefined));
    const suspectedLoss = doubts && found.range.from > tail.reconciledThrough ? found.range : undefined;
    const lost = [found.lost, suspectedLoss, tail.broken, tail.unrecordedLoss].reduce(joinRanges);
    const reached = (positions: Positions | undefined): Positions | undefined =>
      withIdle(laterPositions(intact && positionsFrom(intact.position), positions), state.created, idle);
    const stored = await rollForward(walk, trusted, floorSeq);
    const whole = reached(stored);
    const before = await beforeMissingBodies({
      ...options,
      port: until(signal, port),
      from: trusted,
      firstSeq: state.firstSeq,
      floorSeq,
    });
    const resume = before === undefined ? whole : reached(before);
    const storedThrough = before === undefined ? undefined : placesBehind(stored, resume);
    const large = await newestLarge(walk, end);
    // Behind our marker nothing of an older writer can be stored any more, so the newest one is the last one.
    const side = await newestProgress(walk, await port.readLast(metaSubject(source, "backfill")), intact);
    const base = {
      token: marker.seq,
      resume,
      storedThrough,
      large,
      progress: side.progress,
      progressSeq: side.seq,
      created: state.created,
      lost,
    };
    signal.throwIfAborted();
    if (lost === undefined) return { ...base, lastSeq: marker.seq, lastId: marker.id, tail: end?.place, stored };
    return { ...base, stored: whole, ...(await writeHistory(options, lost, { token: marker.seq, large }, end, whole)) };
  }
  throw new TransientError("BUS_UNSTEADY", `the stream of ${source} kept moving while a writer marker was published`, {
    hint: "is another program publishing to this stream?",
  });
}

/** The port's `read`, until the signal. */
function until(signal: AbortSignal, port: Reader): Reader {
  return {
    isRemoved: (seq) => port.isRemoved(seq),
    read: async (seq) => {
      signal.throwIfAborted();
      return port.read(seq);
    },
  };
}

interface Found {
  readonly state: StreamState;
  /** The highest sequence that anyone was given. */
  readonly known: number;
  /** Numbers lost since this process knew of them, or missing at the end. */
  readonly lost: Range | undefined;
  /** The same, should the stream not bear the checkpoint out: lost unless somebody has dealt with it. */
  readonly range: Range;
  /** Another stream of the same name than the one that is known. */
  readonly recreated: boolean;
}

/** Whether the stream is shorter than a number anyone was given, or is not the stream that the checkpoint speaks of. */
async function lookForLoss(options: EstablishOptions): Promise<Found> {
  const { port, checkpoint, highest } = options;
  const before = await port.info();
  const known = Math.max(highest, checkpoint?.streamSeq ?? 0, before ? await port.highestDelivered() : 0);
  const state = before ?? (await port.create(known + 1));
  const expected = options.created ?? checkpoint?.streamCreated;
  const recreated = expected !== undefined && expected !== state.created;
  const missing = Math.max(0, known - state.lastSeq);
  const from = missing > 0 && !recreated ? state.lastSeq + 1 : Math.min(checkpoint?.streamSeq ?? 1, state.lastSeq + 1);
  const range = { from, to: Math.max(known, from) };
  const isKnown = missing > 0 || (options.created !== undefined && recreated);
  return { state, known, lost: isKnown ? range : undefined, range, recreated };
}

/** Whether the stream has the checkpoint's message where it says. @param state before the writer's marker was stored */
async function bearsOut({ port, clock, checkpoint }: EstablishOptions, state: StreamState): Promise<boolean> {
  if (checkpoint === undefined) return false;
  if (checkpoint.streamCreated !== state.created || checkpoint.streamSeq > state.lastSeq) return false;
  if (checkpoint.streamSeq < Math.max(state.firstSeq, 1)) return true;
  const stored = await readWithRetry(port, clock, checkpoint.streamSeq);
  // One that somebody has taken out had stood there; a stream that was set back has a filling in its place.
  return stored === undefined || stored.header("ce-id") === checkpoint.id;
}

async function newestMarker(
  port: StreamPort,
  source: SourceId,
): Promise<{ readonly seq: number; readonly lease: number }> {
  const marker = await port.readLast(metaSubject(source, "writer"));
  if (marker === undefined) return { seq: 0, lease: 0 };
  // A stray one is the token all the same, for the server counts by subject; whose turn it is, it does not say.
  return { seq: marker.seq, lease: writerLease(source, marker) ?? 0 };
}

/** The newest lease number written into a stream; 0 for a stream without a marker, or none at all. */
export async function newestLease(port: StreamPort, source: SourceId): Promise<number> {
  return (await port.info()) === undefined ? 0 : (await newestMarker(port, source)).lease;
}
