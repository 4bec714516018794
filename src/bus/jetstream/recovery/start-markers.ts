// What a start writes before anything else: the filling of lost numbers, the writer's marker, and the history of a loss.

import { HistoryLostError, TransientError } from "../../../errors.ts";
import { type Place, type Positions, placesOf, plainPositions } from "../../../event/positions.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import type { Lease } from "../lease/lease.ts";
import { encodeBatch, type Outgoing, ownMarker } from "../stream/encode.ts";
import type { Range } from "../stream/own-markers.ts";
import { PublishRefused, type StreamPort } from "../stream/port.ts";
import { refusal } from "./stall.ts";
import type { Tail } from "./stream-tail.ts";

/** More lost numbers than this are not filled: a person decides. */
const MAX_FILL = 1_000_000;

export interface MarkOptions {
  readonly port: StreamPort;
  readonly source: SourceId;
  readonly lease: Lease;
  readonly instance: string;
  /** Why a writer begins: stands in its marker. */
  readonly reason: string;
  readonly signal: AbortSignal;
}

/**
 * Fills the lost numbers, so that no number is ever used twice, and publishes the marker behind them: in one atomic
 * batch where it fits. @param known the highest number that anyone was given. Undefined when the stream moved meanwhile.
 */
export async function fillAndMark(
  options: MarkOptions,
  { lastSeq: before, known }: { readonly lastSeq: number; readonly known: number },
  previousToken: number,
): Promise<{ readonly seq: number; readonly id: string } | undefined> {
  const { port, source, lease } = options;
  const tokenSubject = metaSubject(source, "writer");
  let lastSeq = before;
  const missing = known - lastSeq;
  if (missing > MAX_FILL) {
    throw new HistoryLostError("BUS_LOST_TOO_MUCH", `the bus lost ${missing} acknowledged messages of ${source}`, {
      hint: `more than ${MAX_FILL} are not filled by themselves: restore the stream from a backup, or delete it to start with a gap`,
    });
  }
  const range = { from: lastSeq + 1, to: known };
  const marker = writerMarker(options, undefined, `${source}.writer.${lease.number}.${Math.max(known, lastSeq) + 1}`);
  try {
    for (;;) {
      options.signal.throwIfAborted();
      const count = Math.min(Math.max(known - lastSeq, 0), port.maxBatchMessages - 1);
      const fill = Array.from({ length: count }, (_, n) => lostMarker(source, lease.number, lastSeq + 1 + n, range));
      const last = lastSeq + count >= known;
      const fence = { lastSeq, token: previousToken, tokenSubject, large: 0 };
      const ack = await port.send(encodeBatch(last ? [...fill, marker] : fill, options.instance, fence, undefined));
      if (last) return { seq: ack.seq, id: marker.id };
      lastSeq = ack.seq;
    }
  } catch (error) {
    const refused = refusal(error, streamName(source));
    if (refused) throw refused;
    if (error instanceof PublishRefused) return undefined;
    throw error;
  }
}

/** A writer marker: the fencing token, and the heartbeat of an idle source. */
export function writerMarker(
  { source, lease, instance, reason }: Pick<MarkOptions, "source" | "lease" | "instance" | "reason">,
  place: Place | undefined,
  id: string,
): Outgoing {
  return ownMarker(source, "writer", id, { lease: lease.number, instance, reason }, place);
}

function lostMarker(source: SourceId, lease: number, seq: number, range: Range): Outgoing {
  return ownMarker(source, "lost", `${source}.lost.${lease}.${seq}`, range, undefined);
}

/** Tells the subscribers which numbers were lost and where the source goes on from. */
export async function writeHistory(
  { port, source, lease, instance }: MarkOptions,
  lost: Range,
  { token, large }: { readonly token: number; readonly large: number },
  end: Tail | undefined,
  resume: Positions | undefined,
): Promise<{ readonly lastSeq: number; readonly lastId: string; readonly tail: Place | undefined }> {
  const id = `${source}.history.${lease.number}.${token}`;
  const body = { reason: "the bus lost acknowledged messages", lost, resume: resume ? plainPositions(resume) : null };
  const tail = resume && placesOf(resume)[0];
  const message = ownMarker(source, "history", id, body, tail);
  const fence = {
    lastSeq: token,
    token,
    tokenSubject: metaSubject(source, "writer"),
    large,
  };
  try {
    const ack = await port.send(encodeBatch([message], instance, fence, end?.place.position));
    return { lastSeq: ack.seq, lastId: id, tail };
  } catch (error) {
    if (!(error instanceof PublishRefused)) throw error;
    const refused = refusal(error, streamName(source));
    if (refused) throw refused;
    throw new TransientError("BUS_UNSTEADY", "the stream moved right behind our marker", {
      cause: error,
      hint: "it is tried again",
    });
  }
}
