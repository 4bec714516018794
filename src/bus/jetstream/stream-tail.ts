// Reading where a stream ends: by sequence, through its leader, backwards from a marker that nothing can get behind.

import { TransientError } from "../../errors.ts";
import type { Position } from "../../event/position.ts";
import type { SourceId } from "../../event/source-id.ts";
import { metaSubject } from "../../event/subject.ts";
import type { Clock, StoredMessage, StreamPort } from "./port.ts";

/** The newest message of a stream that says where the source stands. */
export interface Tail {
  readonly message: StoredMessage;
  readonly position: Position;
}

/**
 * A message that must be there: a leader that has just been elected may not have it yet, so "not found" means ask again.
 * One answer may be lost: a walk back of hundreds of messages would else hardly ever end on a bus that loses some.
 */
export async function readSurely(port: Pick<StreamPort, "read">, clock: Clock, seq: number): Promise<StoredMessage> {
  let lost: Error | undefined;
  for (let tries = 0; tries < 20; tries++) {
    try {
      const message = await port.read(seq);
      if (message) return message;
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
      hint: "it is tried again; if it stays, the stream's store is damaged",
    },
  );
}

/**
 * The newest message at or below `from` that carries `Cdc-Pos`; undefined when there is none down to `firstSeq`.
 * Goes past markers, fillings of lost numbers and messages that are not ours.
 */
export async function findTail(
  port: Pick<StreamPort, "read">,
  clock: Clock,
  source: SourceId,
  from: number,
  firstSeq: number,
  onForeign?: (seq: number, subject: string) => void,
): Promise<Tail | undefined> {
  const lost = metaSubject(source, "lost");
  for (let seq = from; seq >= firstSeq && seq > 0; ) {
    const message = await readSurely(port, clock, seq);
    const position = message.header("Cdc-Pos");
    if (position) return { message, position: position as Position };
    if (message.header("ce-source") !== `/${source}`) onForeign?.(seq, message.subject);
    seq = message.subject === lost ? Math.min(seq, lostFrom(message)) - 1 : seq - 1;
  }
  return undefined;
}

/** The first number of the range that a filling belongs to. */
function lostFrom(message: StoredMessage): number {
  const range = JSON.parse(Buffer.from(message.data).toString("utf8")) as { readonly from: number };
  return range.from;
}

/**
 * Checks that each batch from `end` back to `floorSeq` names its predecessor (`Cdc-Prev`). A batch that does not, and all
 * behind it, is not to be trusted: the tail that is stands before it.
 */
export async function verifiedTail(
  port: Pick<StreamPort, "read">,
  clock: Clock,
  source: SourceId,
  end: Tail | undefined,
  firstSeq: number,
  floorSeq: number,
): Promise<{
  readonly trusted: Tail | undefined;
  readonly broken: { readonly from: number; readonly to: number } | undefined;
}> {
  let trusted = end;
  let broken: { from: number; to: number } | undefined;
  for (let at = end; at !== undefined && at.message.seq > floorSeq; ) {
    const nth = Number(at.message.header("Nats-Batch-Sequence") ?? 1);
    const start = at.message.seq - nth + 1;
    if (start <= firstSeq) break;
    const first = nth === 1 ? at.message : await readSurely(port, clock, start);
    const before = await findTail(port, clock, source, start - 1, firstSeq);
    if ((first.header("Cdc-Prev") ?? undefined) !== before?.position) {
      if (before === undefined && first.header("Cdc-Prev") !== undefined) break; // its predecessor left with retention
      trusted = before;
      broken = { from: start, to: end?.message.seq ?? start };
    }
    at = before;
  }
  return { trusted, broken };
}
