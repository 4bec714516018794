// A row that can never travel: its dead letter first, then a marker in its place, so that the order shows where it was.

import { createHash } from "node:crypto";
import { PoisonError } from "../errors.ts";
import { markerHead, type StreamMessage } from "../event/message.ts";
import { bare, isComplete } from "../event/position.ts";
import type { SourceId } from "../event/source-id.ts";
import { metaSubject, unescapeToken } from "../event/subject.ts";
import type { Poison } from "../source/source.ts";

/** How much of a poisonous row is kept. */
export const MAX_RAW_BYTES: number = 64 * 1024;

export interface PoisonPlaces {
  readonly source: SourceId;
  /** Stores the dead letter durably. */
  readonly deadLetter: (subject: string, head: string, data: Uint8Array, signal: AbortSignal) => Promise<void>;
  /** Ends the waiting for a bus that is away. */
  readonly signal: AbortSignal;
}

/** Stores the dead letter of a row; resolves to the marker that stands in its place. */
export async function bury(
  { source, deadLetter, signal }: PoisonPlaces,
  poison: Omit<Poison, "type">,
): Promise<StreamMessage> {
  const { position, sizeBytes, sha256, error, namespace, collection } = poison;
  const id = `${source}.poison.${bare(position)}`;
  const what = { code: error.code, message: error.message, namespace, collection, sizeBytes, sha256 };
  const head = markerHead(source, "poison", id);
  const hash = sha256 === undefined ? "" : `Millrace-Sha256: ${sha256}\r\n`;
  await deadLetter(
    `dead._source.${source}`,
    `${head}Nats-Msg-Id: ${id}\r\nMillrace-Position: ${position}\r\nMillrace-Error: ${error.code}\r\nMillrace-Size: ${sizeBytes}\r\n${hash}`.replace(
      "content-type: application/json",
      "content-type: application/octet-stream",
    ),
    poison.raw.subarray(0, MAX_RAW_BYTES),
    signal,
  );
  const last = isComplete(position) ? "Cdc-Tx-Last: 1\r\n" : "";
  const within = poison.transaction && `Cdc-Tx: ${poison.transaction.id}\r\n${poison.transaction.lineage}${last}`;
  return {
    type: "message",
    subject: metaSubject(source, "poison"),
    head: head + (within ?? ""),
    data: Buffer.from(JSON.stringify(what)),
    position,
  };
}

/** A finished event with a part that is larger than it may be, as poison. */
export function tooLarge(
  message: StreamMessage,
  bytes: number,
  part: "headers" | "body",
  maxBytes: number,
): Omit<Poison, "type"> {
  const [, , namespace = "", collection = ""] = message.subject.split(".").map(unescapeToken);
  const id = /^Cdc-Tx: (.*)\r$/m.exec(message.head)?.[1];
  return {
    position: message.position,
    transaction: id === undefined ? undefined : { id, time: "", lineage: "" },
    namespace,
    collection,
    raw: message.data,
    sizeBytes: message.data.length,
    sha256: createHash("sha256").update(message.data).digest("hex"),
    error: new PoisonError("EVENT_TOO_LARGE", `an event's ${part} of ${bytes} bytes, where ${maxBytes} are allowed`, {
      hint:
        part === "body"
          ? "raise bus.maxEventBytes, or leave the wide column out"
          : "the key is in the headers: give the table a shorter one",
    }),
  };
}
