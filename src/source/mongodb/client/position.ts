// Positions of a MongoDB source: `<history:04x>.<seconds:08x><increment:08x>.<ordinal:08x>.<idle:08x>.<token>`, and `+` when
// complete. The cluster time orders events; events of one cluster time are numbered in the stream's order. The resume token is
// opaque: it stands last, where it never decides. `idle` numbers the places behind an event where nothing happened.

import { BugError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import { tokenTime } from "./resume-token.ts";

/** A BSON timestamp. */
export interface ClusterTime {
  readonly t: number;
  readonly i: number;
}

export interface Place {
  readonly history: number;
  readonly time: ClusterTime;
  /** Among the events of one cluster time; 0 stands before all of them. */
  readonly ordinal: number;
  /** 0 for an event itself. */
  readonly idle: number;
  /** Undefined where there is none yet, or it is too long: then the stream is opened at the cluster time. */
  readonly token: string | undefined;
}

/** A longer one is left out: it holds the document's key, and a position stands in the headers of messages. */
const TOKEN_LETTERS = 4096;

const pattern = /^([0-9a-f]{4})\.([0-9a-f]{8})([0-9a-f]{8})\.([0-9a-f]{8})\.([0-9a-f]{8})\.([0-9A-Za-z_-]*)\+?$/;

export function formatPosition({ history, time, ordinal, idle, token }: Place, complete: boolean): Position {
  return `${beginning(history, time.t)}${hex(time.i)}.${hex(ordinal)}.${hex(idle)}.${shortToken(token)}${complete ? "+" : ""}` as Position;
}

/** Of the position that was made last: thousands have the same. */
let known = { history: -1, t: -1, text: "" };

function beginning(history: number, t: number): string {
  if (known.history !== history || known.t !== t)
    known = { history, t, text: `${history.toString(16).padStart(4, "0")}.${hex(t)}` };
  return known.text;
}

/** @throws BugError POSITION_MALFORMED */
export function parsePosition(position: Position): Place {
  const [, history, t, i, ordinal, idle, token] = pattern.exec(position) ?? [];
  if (history === undefined || t === undefined || i === undefined || ordinal === undefined || idle === undefined) {
    throw new BugError("POSITION_MALFORMED", `${position} is no position of a MongoDB source`);
  }
  return {
    history: Number.parseInt(history, 16),
    time: { t: Number.parseInt(t, 16), i: Number.parseInt(i, 16) },
    ordinal: Number.parseInt(ordinal, 16),
    idle: Number.parseInt(idle, 16),
    token: token === "" ? undefined : token,
  };
}

/**
 * Up to which of the cluster's times everything was read. An idle place may have the time of the event before it, and its
 * token says how far the server was by then; undefined where that is a token of another kind than MongoDB's.
 */
export function readThrough({ time, ordinal, idle, token }: Place): ClusterTime | undefined {
  if (idle === 0 || token === undefined) return time;
  const reached = tokenTime(token) ?? (ordinal === 0 ? time : undefined); // before all events of its time: no event's
  return reached !== undefined && isEarlier(reached, time) ? time : reached;
}

function shortToken(token = ""): string {
  return token.length > TOKEN_LETTERS ? "" : token;
}

/** Whether `a` stands before `b`. */
export function isEarlier(a: ClusterTime, b: ClusterTime): boolean {
  return a.t < b.t || (a.t === b.t && a.i < b.i);
}

const PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Eight digits. */
function hex(number: number): string {
  return (
    (PAIRS[number >>> 24] as string) +
    (PAIRS[(number >>> 16) & 0xff] as string) +
    (PAIRS[(number >>> 8) & 0xff] as string) +
    (PAIRS[number & 0xff] as string)
  );
}
