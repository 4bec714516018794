// What stands for the body of an event that is too large for a message: the same however often it is made, and by whom.

import { createHash } from "node:crypto";
import { type DataRef, dataRefLines } from "../event/data-ref.ts";
import type { StreamMessage } from "../event/message.ts";

const NO_BODY = new Uint8Array();

/** Where the body of a message goes. */
export function dataRefTo({ id, data }: StreamMessage): DataRef {
  const sha256 = createHash("sha256").update(data).digest("hex");
  return { name: `${id}.${sha256}`, sizeBytes: data.length, sha256 };
}

/** The message that points to its body. */
export function pointerTo(message: StreamMessage, ref: DataRef): StreamMessage {
  return { ...message, head: message.head + dataRefLines(ref), data: NO_BODY, ref };
}
