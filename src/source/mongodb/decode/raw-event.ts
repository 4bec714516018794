// One event of a change stream as its raw bytes: which member lies where. Fragments of a split event are put together here.

import { FieldWalk, fieldsOf, malformed, stringAt, Type } from "../values/bson.ts";

/** A value in the buffer that it came in. */
export interface RawValue {
  readonly bytes: Buffer;
  readonly type: number;
  readonly from: number;
  readonly to: number;
}

/** The members of an event, or of a document in it, by their names. */
export interface RawEvent {
  get(name: string): RawValue | undefined;
}

/** What is read of an event; all else in it is passed over. */
const READ = [
  ...[
    "_id",
    "operationType",
    "clusterTime",
    "wallTime",
    "ns",
    "to",
    "documentKey",
    "fullDocument",
    "lsid",
    "txnNumber",
  ],
  ...["fullDocumentBeforeChange", "updateDescription", "operationDescription", "splitEvent"],
];

/** Where a member of the newest event lies; used again for the next one. */
class Slot implements RawValue {
  readonly name: Buffer;
  bytes: Buffer;
  type = 0;
  from = 0;
  to = 0;
  /** The number of the event that it is of. */
  event = 0;

  constructor(name: string) {
    this.name = Buffer.from(name);
    this.bytes = this.name;
  }
}

/** The newest event of a stream. It reads one after another into the same places: what it gives is good until the next one. */
export class EventReader implements RawEvent {
  readonly #slots = new Map(READ.map((name): [string, Slot] => [name, new Slot(name)]));
  readonly #byLength: readonly (readonly Slot[])[];
  #event = 0;
  /** The fragment that must come, where a split event has begun. */
  #next = 1;

  constructor() {
    const slots = [...this.#slots.values()];
    const longest = Math.max(...slots.map(({ name }) => name.length));
    this.#byLength = Array.from({ length: longest + 1 }, (_, size) => slots.filter(({ name }) => name.length === size));
  }

  /**
   * Takes an event, or a fragment of one; then the last one's token is the event's.
   * @returns false while fragments are missing @throws PoisonError BSON_MALFORMED
   */
  take(bytes: Buffer, from = 0, to: number = bytes.length): boolean {
    const before = this.#event++;
    this.#read(bytes, from, to);
    const split = this.get("splitEvent");
    const next = this.#next;
    this.#next = 1;
    if (split === undefined) return true;
    const members = membersIn(this, "splitEvent");
    const [fragment, of] = [int32In(members, "fragment"), int32In(members, "of")];
    if (fragment === undefined || of === undefined || of === 1) return true;
    // A first fragment begins the event anew: the stream may have been opened again before it.
    if (fragment !== 1 && fragment !== next)
      throw malformed(`fragment ${next} of an event was to come, and ${fragment} came`);
    if (fragment > 1) for (const slot of this.#slots.values()) if (slot.event === before) slot.event = this.#event;
    if (fragment === of) return true;
    this.#next = fragment + 1;
    return false;
  }

  /** Whether fragments of an event are missing. */
  get isOpen(): boolean {
    return this.#next > 1;
  }

  get(name: string): RawValue | undefined {
    const slot = this.#slots.get(name);
    return slot?.event === this.#event ? slot : undefined;
  }

  #read(bytes: Buffer, from: number, to: number): void {
    const walk = new FieldWalk(bytes, from, to);
    while (walk.next()) {
      const slot = this.#slotOf(walk);
      if (slot === undefined) continue;
      slot.bytes = bytes;
      slot.type = walk.type;
      slot.from = walk.from;
      slot.to = walk.to;
      slot.event = this.#event;
    }
  }

  #slotOf({ bytes, nameFrom, from }: FieldWalk): Slot | undefined {
    const slots = this.#byLength[from - 1 - nameFrom];
    if (slots === undefined) return undefined;
    for (const slot of slots) if (isText(bytes, nameFrom, slot.name)) return slot;
    return undefined;
  }
}

function isText(bytes: Buffer, from: number, text: Buffer): boolean {
  for (let at = 0; at < text.length; at++) if (bytes[from + at] !== text[at]) return false;
  return true;
}

/** The members of a document. @throws PoisonError BSON_MALFORMED */
export function membersOf(bytes: Buffer, from = 0, end: number = bytes.length): Map<string, RawValue> {
  const members = new Map<string, RawValue>();
  for (const { type, nameFrom, from: start, to } of fieldsOf(bytes, from, end)) {
    members.set(bytes.toString("utf8", nameFrom, start - 1), { bytes, type, from: start, to });
  }
  return members;
}

/** The members of a member that is a document; none where there is no such member. */
export function membersIn(members: RawEvent, name: string): Map<string, RawValue> {
  const value = documentAt(members, name);
  return value === undefined ? new Map() : membersOf(value.bytes, value.from, value.to);
}

/** Where a member lies that is a document. */
export function documentAt(members: RawEvent, name: string): RawValue | undefined {
  const value = members.get(name);
  return value?.type === Type.document ? value : undefined;
}

/** A member that is text. */
export function textIn(members: RawEvent, name: string): string | undefined {
  const value = members.get(name);
  return value?.type === Type.string ? stringAt(value.bytes, value.from) : undefined;
}

export function timestampIn(members: RawEvent, name: string): { readonly t: number; readonly i: number } | undefined {
  const value = members.get(name);
  if (value?.type !== Type.timestamp) return undefined;
  return { t: value.bytes.readUInt32LE(value.from + 4), i: value.bytes.readUInt32LE(value.from) };
}

function int32In(members: RawEvent, name: string): number | undefined {
  const value = members.get(name);
  return value?.type === Type.int32 ? value.bytes.readInt32LE(value.from) : undefined;
}
