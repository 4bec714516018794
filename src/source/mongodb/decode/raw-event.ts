// One event of a change stream as its raw bytes: which member lies where. Fragments of a split event are put together here.

import { fieldsOf, malformed, stringAt, Type } from "../values/bson.ts";

/** A value in the buffer that it came in. */
export interface RawValue {
  readonly bytes: Buffer;
  readonly type: number;
  readonly from: number;
  readonly to: number;
}

export type RawEvent = ReadonlyMap<string, RawValue>;

/** The members of a document. @throws PoisonError BSON_MALFORMED */
export function membersOf(bytes: Buffer, from = 0, end: number = bytes.length): Map<string, RawValue> {
  const members = new Map<string, RawValue>();
  for (const { type, nameFrom, from: start, to } of fieldsOf(bytes, from, end)) {
    members.set(bytes.toString("utf8", nameFrom, start - 1), { bytes, type, from: start, to });
  }
  return members;
}

/** The members of a member that is a document; none where there is no such member. */
export function membersIn(event: RawEvent, name: string): Map<string, RawValue> {
  const value = event.get(name);
  if (value === undefined || value.type !== Type.document) return new Map();
  return membersOf(value.bytes, value.from, value.to);
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

/** A copy of the bytes of a member that is a document. */
export function documentIn(members: RawEvent, name: string): Buffer | undefined {
  const value = members.get(name);
  return value?.type === Type.document ? value.bytes.subarray(value.from, value.to) : undefined;
}

/** Puts the fragments of an event that was too large for one message together; an event that is whole passes through. */
export class Fragments {
  #parts: Map<string, RawValue> | undefined;
  #next = 1;

  /** Whether some are missing. */
  get isOpen(): boolean {
    return this.#parts !== undefined;
  }

  /** Undefined while fragments are missing; the last one's token is the event's. @throws PoisonError */
  add(part: RawEvent): RawEvent | undefined {
    const split = membersIn(part, "splitEvent");
    const [fragment, of] = [int32In(split, "fragment"), int32In(split, "of")];
    if (fragment === undefined || of === undefined || of === 1) return part;
    if (fragment !== this.#next)
      throw malformed(`fragment ${this.#next} of an event was to come, and ${fragment} came`);
    this.#parts = new Map([...(this.#parts ?? []), ...part]);
    this.#next++;
    if (fragment < of) return undefined;
    const whole = this.#parts;
    this.#parts = undefined;
    this.#next = 1;
    return whole;
  }
}

function int32In(members: RawEvent, name: string): number | undefined {
  const value = members.get(name);
  return value?.type === Type.int32 ? value.bytes.readInt32LE(value.from) : undefined;
}
