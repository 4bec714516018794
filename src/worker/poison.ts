// A row that can never travel: its dead letter first, then a marker in its place, so that the order shows where it was.

import { createHash } from "node:crypto";
import type { Bus } from "../bus/bus.ts";
import type { SourceStream } from "../bus/source-stream.ts";
import { PoisonError } from "../errors.ts";
import type { StreamMessage } from "../event/message.ts";
import { bare } from "../event/position.ts";
import type { SourceEvent } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import type { Poison } from "../source/source.ts";

/** How much of a poisonous row is kept. */
export const MAX_RAW_BYTES: number = 64 * 1024;

export interface PoisonPlaces {
  readonly source: SourceId;
  readonly stream: Pick<SourceStream, "encode">;
  /** Stores the dead letter durably. */
  readonly deadLetter: Bus["deadLetter"];
  /** Ends the waiting for a bus that is away. */
  readonly signal: AbortSignal;
}

/** Stores the dead letter of a row; resolves to the marker that stands in its place. */
export async function deadLetter(
  { source, stream, deadLetter, signal }: PoisonPlaces,
  poison: Omit<Poison, "type">,
): Promise<StreamMessage> {
  const { transaction, partition, position, sizeBytes, sha256, error, namespace, collection } = poison;
  const id = `${source}.poison.${bare(position)}`;
  const time = new Date().toISOString();
  const hash = sha256 === undefined ? "" : `Millrace-Sha256: ${sha256}\r\n`;
  await deadLetter(
    `dead._source.${source}`,
    `ce-specversion: 1.0\r\nce-source: /${source}\r\nce-type: ${source}.meta.poison\r\n` +
      `content-type: application/octet-stream\r\nce-id: ${id}\r\nce-time: ${time}\r\nNats-Msg-Id: ${id}\r\n` +
      `Millrace-Position: ${position}\r\nMillrace-Error: ${error.code}\r\nMillrace-Size: ${sizeBytes}\r\n${hash}`,
    poison.raw.subarray(0, MAX_RAW_BYTES),
    { signal },
  );
  const what = { code: error.code, message: error.message, namespace, collection, sizeBytes, sha256 };
  const data = Buffer.from(JSON.stringify(what));
  return stream.encode({ type: "marker", kind: "poison", id, transaction, time, partition, position, data });
}

/** A finished event with a part that is larger than it may be, as poison. */
export function tooLarge(
  event: SourceEvent,
  bytes: number,
  part: "headers" | "body",
  maxBytes: number,
): Omit<Poison, "type"> {
  const { transaction, partition, position, data } = event;
  return {
    partition,
    position,
    transaction,
    ...placeOf(event),
    raw: data,
    sizeBytes: data.length,
    sha256: createHash("sha256").update(data).digest("hex"),
    error: new PoisonError("EVENT_TOO_LARGE", `an event's ${part} of ${bytes} bytes, where ${maxBytes} are allowed`, {
      hint:
        part === "body"
          ? "raise bus.maxEventBytes, or leave the wide column out"
          : "the key is in the headers: give the table a shorter one",
    }),
  };
}

/** What its subject has behind the source. */
function placeOf(event: SourceEvent): Pick<Poison, "namespace" | "collection"> {
  if (event.type === "change") return { namespace: event.kind.namespace, collection: event.kind.collection };
  if (event.type === "domain") return { namespace: event.aggregate, collection: event.name };
  return typeof event.kind === "string"
    ? { namespace: event.kind, collection: "" }
    : { namespace: "message", collection: event.kind.prefix };
}
