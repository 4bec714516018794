// One event that is stored with the records of its ids, and as which messages: the records first, the event behind them.

import { createHash, randomBytes } from "node:crypto";
import type { StreamMessage } from "../../../event/message.ts";
import type { Position } from "../../../event/position.ts";
import type { ReceivedKey } from "../../bus.ts";
import type { Encoded } from "../stream/port.ts";

/** How long an id is known: a sender that repeats itself does so within three days. */
export const KNOWN_FOR = "72h";

/** The record of one id. */
export interface IdRecord {
  readonly subject: string;
  readonly note: string | undefined;
}

/** The event as it is stored. */
export interface EncodedEvent {
  readonly subject: string;
  readonly head: string;
  readonly data: Uint8Array;
}

export interface Receipt {
  readonly event: EncodedEvent;
  readonly records: readonly IdRecord[];
  /** Stands in each of its records: whoever finds it there knows that it was this one that was stored. */
  readonly nonce: string;
}

/** `dedupe._in.<SHA-256 of the id>`: an id may be as long as a sender likes. */
export function recordSubject(key: string): string {
  return `dedupe._in.${createHash("sha256").update(key).digest("hex")}`;
}

/** @param keys the ids; an event without any is recorded under a random one, so that it can be sent again all the same */
export function receiptOf(event: EncodedEvent, keys: readonly ReceivedKey[]): Receipt {
  const nonce = randomBytes(12).toString("hex");
  const records = new Map<string, IdRecord>();
  for (const { key, note } of keys.length > 0 ? keys : [{ key: nonce, note: undefined }]) {
    const subject = recordSubject(key);
    if (!records.has(subject)) records.set(subject, { subject, note });
  }
  return { event, records: [...records.values()], nonce };
}

/** What stands in a record. */
export function recordBody({ note }: Pick<IdRecord, "note">, nonce: string): Uint8Array {
  return Buffer.from(JSON.stringify({ nonce, ...(note === undefined ? {} : { note }) }));
}

/** What a record says; a body that is none of ours says nothing. */
export function readRecord(data: Uint8Array): { readonly nonce?: string; readonly note?: string } {
  try {
    const body: unknown = JSON.parse(Buffer.from(data).toString());
    return typeof body === "object" && body !== null ? body : {};
  } catch {
    return {};
  }
}

/** The messages of an atomic batch of receipts: all of it is stored, or nothing. @param batchId at most 64 characters */
export function encodeReceipts(receipts: readonly Receipt[], batchId: string): Encoded[] {
  const messages = receipts.flatMap(({ event, records, nonce }) => [
    ...records.map((record) => ({
      subject: record.subject,
      head: `Nats-Expected-Last-Subject-Sequence: 0\r\nNats-TTL: ${KNOWN_FOR}\r\n`,
      data: recordBody(record, nonce),
    })),
    event,
  ]);
  return messages.map(({ subject, head, data }, index) => {
    const last = index === messages.length - 1 ? "Nats-Batch-Commit: 1\r\n" : "";
    const batch = `Nats-Batch-Id: ${batchId}\r\nNats-Batch-Sequence: ${index + 1}\r\n${last}`;
    return { subject, headers: Buffer.from(`NATS/1.0\r\n${head}${batch}\r\n`, "latin1"), data };
  });
}

/** An event from outside as a message whose body may go elsewhere: under a name that no source's begins with, and no id can bend. */
export function outsideMessage({ subject, id, head, data }: EncodedEvent & { readonly id: string }): StreamMessage {
  const nowhere = { ref: undefined, committedAt: undefined, partition: undefined, position: "" as Position };
  const name = `_in.${createHash("sha256").update(id).digest("hex")}`;
  return { type: "message", subject, id: name, head, data, ...nowhere };
}
