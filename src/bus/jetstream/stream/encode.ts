// Messages to the bytes that go onto the socket: the source's header lines, and those that say where a message stands.

import type { StreamMessage } from "../../../event/message.ts";
import type { Position } from "../../../event/position.ts";
import type { Place } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import { markerHead, partitionLine } from "../../encode-event.ts";
import type { Encoded } from "./port.ts";

/** Bytes that the bus may add to a message's own header lines. */
export const MAX_ADDED_HEADER_BYTES = 672;

/** The most bytes of a message's own header lines: the server allows 64 KiB with those that the bus and a claim check add. */
export const MAX_HEAD_BYTES: number = 60 * 1024;
/** The most bytes of those that a claim check adds. */
export const MAX_POINTER_BYTES = 512;

/** A marker has no position when nothing can be said: a writer's first one, and the filling of lost numbers. */
export type Outgoing = Omit<StreamMessage, "position"> & { readonly position: Position | undefined };

/** A marker of the bus' own. @param place undefined when nothing can be said */
export function ownMarker(
  source: SourceId,
  kind: "writer" | "lost" | "history" | "backfill",
  id: string,
  body: unknown,
  place: Place | undefined,
): Outgoing {
  return {
    type: "message",
    subject: metaSubject(source, kind),
    id,
    head: markerHead(source, kind, id) + partitionLine(place?.partition),
    data: Buffer.from(JSON.stringify(body)),
    ref: undefined,
    committedAt: undefined,
    partition: place?.partition,
    position: place?.position,
  };
}

/** What fences a batch: the tail it was computed from, and the newest writer marker. */
export interface Fence {
  readonly lastSeq: number;
  /** Sequence of the writer marker; 0 when the stream must not have one yet. */
  readonly token: number;
  readonly tokenSubject: string;
  /** Sequence of the newest large event in the stream; 0 when there is none. */
  readonly large: number;
}

/** Batches of this process, so that no two ever share an id: the server may still hold an older one half received. */
let batches = 0;

/**
 * A batch ready to send. The first message carries the fence and `Cdc-Prev`; two and more are one atomic batch. The
 * first, the last, and each large event name the large event before them.
 * @param instance names the process in the batch's id
 * @param prev the newest `Cdc-Pos` in the stream before this batch
 */
export function encodeBatch(
  messages: readonly Outgoing[],
  instance: string,
  fence: Fence,
  prev: Position | undefined,
): Encoded[] {
  const alone = messages.length === 1;
  const batchId = `${instance}.${++batches}`;
  let { large } = fence;
  const blocks = messages.map((message, index) => {
    let lines = `NATS/1.0\r\n${message.head}`;
    if (message.position !== undefined) lines += `Cdc-Pos: ${message.position}\r\n`;
    if (index === 0) {
      if (prev !== undefined) lines += `Cdc-Prev: ${prev}\r\n`;
      lines += `Nats-Expected-Last-Sequence: ${fence.lastSeq}\r\nNats-Expected-Last-Subject-Sequence: ${fence.token}\r\nNats-Expected-Last-Subject-Sequence-Subject: ${fence.tokenSubject}\r\n`;
    }
    const isLarge = message.ref !== undefined;
    if (large > 0 && (isLarge || index === 0 || index === messages.length - 1)) lines += `Cdc-Large: ${large}\r\n`;
    if (isLarge) large = fence.lastSeq + index + 1;
    if (!alone) {
      lines += `Nats-Batch-Id: ${batchId}\r\nNats-Batch-Sequence: ${index + 1}\r\n`;
      if (index === messages.length - 1) lines += "Nats-Batch-Commit: 1\r\n";
    }
    return `${lines}\r\n`;
  });
  // One piece of memory for the whole batch: thousands of small ones a second are what keeps a collector busy.
  const bytes = Buffer.allocUnsafeSlow(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  return messages.map(({ subject, data }, index) => {
    const from = at;
    at += bytes.write(blocks[index] as string, at, "latin1");
    return { subject, headers: bytes.subarray(from, at), data };
  });
}

/** The newest large event of the stream once these messages are in it, behind `lastSeq`; until then it was `large`. */
export function largeBehind(messages: readonly Outgoing[], { lastSeq, large }: Fence): number {
  for (let index = messages.length - 1; index >= 0; index--)
    if ((messages[index] as Outgoing).ref !== undefined) return lastSeq + index + 1;
  return large;
}
