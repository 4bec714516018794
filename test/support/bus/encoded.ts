// What a source hands out as the stream has it: the encoding is the product's own.

import { EventEncoder } from "../../../src/bus/encode-event.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { Position } from "../../../src/event/position.ts";
import type { ChangeKind, Transaction } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Commit, Ended, Poison } from "../../../src/source/source.ts";
import type { ToldMessage } from "../../../src/worker/tell-gaps.ts";

export type EncodedMessage = StreamMessage | Commit | Ended | Poison;

/** What is neither a place nor a row that cannot travel becomes a message. */
export function encoded(source: SourceId, messages: readonly ToldMessage[]): EncodedMessage[] {
  const encoder = new EventEncoder(source);
  return messages.map((message) =>
    message.type === "commit" || message.type === "ended" || message.type === "poison"
      ? message
      : encoder.encode(message),
  );
}

export interface MadeChange {
  readonly kind: ChangeKind;
  readonly key: string;
  readonly lane?: string;
  readonly transaction: string;
  readonly time?: string;
  readonly position: Position;
  readonly data?: Uint8Array;
}

/** Makes messages of one source by hand. */
export function messageMaker(source: SourceId): (change: MadeChange) => StreamMessage {
  const encoder = new EventEncoder(source);
  let last: Transaction | undefined;
  return ({
    transaction: id,
    time = "2026-01-01T00:00:00.000000Z",
    lane = "p00",
    data = Buffer.from("{}"),
    ...made
  }) => {
    if (last?.id !== id || last.time !== time) last = { id, time, lineage: undefined };
    return encoder.encode({ type: "change", lane, transaction: last, data, ...made });
  };
}

/** What all rows that a table's op makes share; without a version. */
export const ordersCreated: ChangeKind = {
  namespace: "public",
  collection: "orders",
  op: "created",
  version: undefined,
};
