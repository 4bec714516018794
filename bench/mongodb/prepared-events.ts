// Replies of a change stream, made once and only filled in for each batch, so that whoever reads them is the one that is measured.

import { BSON, Decimal128, Long, ObjectId, Timestamp, UUID } from "mongodb";

export const DATABASE = "bench";
export const COLLECTION = "measured";

/** Of every ten events six are inserts, three updates with their document, and one is a delete. */
const KINDS = ["insert", "insert", "update", "insert", "insert", "update", "insert", "delete", "insert", "update"];
/** The cluster's time before the first event. */
export const BEGIN = { t: 1_700_000_000, i: 1 } as const;
const EVENTS_A_SECOND = 50_000;

/** What is looked for in a finished event, to be filled in. */
const TIME = { t: 0xabababab, i: 0xcdcdcdcd } as const;
const TIME_TEXT = "ABABABABCDCDCDCD";
const ID_END = "deadbeef";
const TOKEN_REST = `2B042C0100296E5A1004${"0123456789ABCDEF".repeat(2)}463C6F7065726174696F6E5479706500463C696E736572740046646F63`;

interface Template {
  readonly bytes: Buffer;
  readonly cursorAt: number;
  /** Of each event in turn, and last of the token behind all. */
  readonly tokens: readonly number[];
  readonly times: readonly number[];
  readonly ids: readonly (readonly number[])[];
}

const templates = new Map<string, Template>();

/** The finished reply to a `getMore`: the events from `first` on. @param first counted from 0 */
export function replyOf(cursor: Long, first: number, count: number): Buffer {
  const name = `${count} from ${first % KINDS.length}`;
  let template = templates.get(name);
  if (template === undefined) {
    template = makeTemplate(first, count);
    templates.set(name, template);
  }
  const bytes = Buffer.from(template.bytes);
  bytes.writeBigInt64LE(cursor.toBigInt(), template.cursorAt);
  for (let nth = 0; nth < count; nth++) {
    const time = timeOf(first + nth);
    writeToken(bytes, template.tokens[nth] as number, time);
    bytes.writeUInt32LE(time.i, template.times[nth] as number);
    bytes.writeUInt32LE(time.t, (template.times[nth] as number) + 4);
    for (const at of template.ids[nth] as readonly number[]) bytes.writeUInt32BE(first + nth, at);
  }
  writeToken(bytes, template.tokens[count] as number, timeOf(first + count - 1));
  return bytes;
}

/** When an event happened. */
export function timeOf(event: number): { readonly t: number; readonly i: number } {
  return { t: BEGIN.t + 1 + Math.floor(event / EVENTS_A_SECOND), i: 1 + (event % EVENTS_A_SECOND) };
}

/** How many events stand before this time. */
export function eventsBefore({ t, i }: { readonly t: number; readonly i: number }): number {
  return t <= BEGIN.t ? 0 : (t - BEGIN.t - 1) * EVENTS_A_SECOND + i - 1;
}

/** The token of a time. */
export function tokenOf({ t, i }: { readonly t: number; readonly i: number }): { readonly _data: string } {
  return { _data: `82${digits(t)}${digits(i)}${TOKEN_REST}` };
}

/** The time that a token begins with. */
export function timeIn({ _data }: { readonly _data: string }): { readonly t: number; readonly i: number } {
  return { t: Number.parseInt(_data.slice(2, 10), 16), i: Number.parseInt(_data.slice(10, 18), 16) };
}

function makeTemplate(first: number, count: number): Template {
  const events = Array.from({ length: count }, (_, nth) => eventOf(KINDS[(first + nth) % KINDS.length] as string));
  const bytes = Buffer.from(
    BSON.serialize({
      cursor: {
        id: Long.ONE,
        ns: `${DATABASE}.$cmd.aggregate`,
        nextBatch: events,
        postBatchResumeToken: tokenOf(TIME),
      },
      ok: 1,
      operationTime: new Timestamp(TIME),
    }),
  );
  const times = placesOf(bytes, timestampBytes(), 0, bytes.length);
  const tokens = placesOf(bytes, Buffer.from(TIME_TEXT), 0, bytes.length);
  const end = Buffer.from(ID_END, "hex");
  const ids = Array.from({ length: count }, (_, nth) =>
    placesOf(bytes, end, tokens[nth] as number, tokens[nth + 1] as number),
  );
  return { bytes, cursorAt: bytes.indexOf("id\0") + 3, tokens, times, ids };
}

function eventOf(operationType: string): BSON.Document {
  const _id = new ObjectId(`0123456789abcdef${ID_END}`);
  const document = {
    _id,
    customer: 4711,
    status: "paid",
    amount: Decimal128.fromString("123.45"),
    paid: true,
    note: "0123456789abcdef".repeat(14),
    created_at: new Date("2026-11-29T12:34:56.789Z"),
  };
  return {
    _id: tokenOf(TIME),
    operationType,
    clusterTime: new Timestamp(TIME),
    wallTime: new Date("2026-11-29T12:34:56.789Z"),
    ...(operationType === "delete" ? {} : { fullDocument: document }),
    collectionUUID: new UUID("01234567-89ab-4def-8123-456789abcdef"),
    ns: { db: DATABASE, coll: COLLECTION },
    documentKey: { _id },
    ...(operationType === "update"
      ? { updateDescription: { updatedFields: { status: "paid", paid: true }, removedFields: [], truncatedArrays: [] } }
      : {}),
  };
}

function timestampBytes(): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(TIME.i, 0);
  bytes.writeUInt32LE(TIME.t, 4);
  return bytes;
}

function placesOf(bytes: Buffer, wanted: Buffer, from: number, to: number): readonly number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(wanted, from); at >= 0 && at < to; at = bytes.indexOf(wanted, at + 1)) places.push(at);
  return places;
}

function writeToken(bytes: Buffer, at: number, { t, i }: { readonly t: number; readonly i: number }): void {
  writeDigits(bytes, at, t);
  writeDigits(bytes, at + 8, i);
}

const DIGITS = Buffer.from("0123456789ABCDEF");

function writeDigits(bytes: Buffer, at: number, value: number): void {
  for (let nth = 0; nth < 8; nth++) bytes[at + nth] = DIGITS[(value >>> (28 - 4 * nth)) & 15] as number;
}

function digits(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, "0");
}
