// Resume tokens as MongoDB's look: `82`, the cluster time, and then either the mark of a time alone or the event's own part.

import { CommandError } from "./command-error.ts";

/** A BSON timestamp. */
export interface ClusterTime {
  readonly t: number;
  readonly i: number;
}

/** Where an event stands. */
export interface EventPlace {
  readonly time: ClusterTime;
  /** Among what happened at that time. */
  readonly index: number;
  /** Whether it is the invalidate behind that event. */
  readonly invalidates?: boolean;
  /** Of a split event, from 1; 0: it is whole. */
  readonly fragment?: number;
  /** The changed document's key: a token is as long as that is. */
  readonly key?: string;
}

/** Of an event: it stands behind it. Of a time alone: it stands before all that happened then. */
export type TokenPlace = EventPlace | { readonly time: ClusterTime; readonly index: undefined };

const TIME_ALONE = "2B0429296E1404";
const pattern =
  /^82([0-9A-F]{8})([0-9A-F]{8})(?:2B042C([0-9A-F]{4})29([0-9A-F]{2})6E5A1004(?:00){16}([0-9A-F]{4})46(?:[0-9A-F]{2})*04|2B0429296E1404)$/;

export function eventToken({ time, index, invalidates = false, fragment = 0, key = "" }: EventPlace): string {
  const flag = invalidates ? "01" : "00";
  const own = Buffer.from(key).toString("hex").toUpperCase();
  return `82${hex(time.t)}${hex(time.i)}2B042C${hex(index, 4)}29${flag}6E5A1004${"00".repeat(16)}${hex(fragment, 4)}46${own}04`;
}

/** The token of a time at which nothing needs to have happened: a high-water mark. */
export function timeToken({ t, i }: ClusterTime): string {
  return `82${hex(t)}${hex(i)}${TIME_ALONE}`;
}

/** @throws CommandError 260 for what is no token */
export function readToken(token: unknown): TokenPlace {
  const [, t, i, index, flag, fragment] = (typeof token === "string" && pattern.exec(token)) || [];
  if (t === undefined || i === undefined) {
    throw new CommandError(260, "InvalidResumeToken", "Resume token could not be parsed");
  }
  const time = { t: Number.parseInt(t, 16), i: Number.parseInt(i, 16) };
  if (index === undefined) return { time, index: undefined };
  return {
    time,
    index: Number.parseInt(index, 16),
    invalidates: flag === "01",
    fragment: Number.parseInt(fragment ?? "0", 16),
  };
}

/** Below 0: `a` is earlier. */
export function compareTimes(a: ClusterTime, b: ClusterTime): number {
  return a.t - b.t || a.i - b.i;
}

function hex(value: number, digits = 8): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}
