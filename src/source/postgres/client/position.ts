// Positions of a Postgres source: `<history:04x>.<final:016x>.<change:016x>.<kind><n:06x>`, and `+` when complete.

import { BugError } from "../../../errors.ts";
import { isComplete, type Position } from "../../../event/position.ts";
import { hex16 } from "./lsn.ts";

const pattern = /^([0-9a-f]{4})\.([0-9a-f]{16})\.[0-9a-f]{16}\.[amr][0-9a-f]{6}\+?$/;

/** The history (a life of the source's log) that a position belongs to. */
export function historyOf(position: Position): number {
  return Number.parseInt(fields(position)[0], 16);
}

/** The transaction's final LSN, or the last byte of log that an idle advance covers. */
export function finalOf(position: Position): bigint {
  return BigInt(`0x${fields(position)[1]}`);
}

/** Where Postgres must start to send what comes behind a position: inside a transaction at its beginning. */
export function startLsn(position: Position): bigint {
  return isComplete(position) ? finalOf(position) + 1n : finalOf(position);
}

/** The start of every position of a history. */
export function historyPrefix(history: number): string {
  return `${history.toString(16).padStart(4, "0")}.`;
}

/**
 * A place between transactions.
 * @param end an exclusive end, as Postgres gives it: a position is an inclusive bound, so one less goes in
 */
export function boundaryBefore(history: number, end: bigint): Position {
  const last = end - 1n;
  return restAt(historyPrefix(history), Number(last >> 32n), Number(last & 0xffffffffn));
}

/** A place between transactions, behind all that the transaction of a position may have. */
export function behindTransaction(position: Position): Position {
  const [history, final] = fields(position);
  return `${history}.${final}.ffffffffffffffff.a000000+` as Position;
}

/** The same as `boundaryBefore`, from two halves, of the last byte that it covers. */
export function restAt(prefix: string, high: number, low: number): Position {
  return `${prefix}${hex16(high, low)}.0000000000000000.a000000+` as Position;
}

function fields(position: Position): [string, string] {
  const [, history, final] = pattern.exec(position) ?? [];
  if (history === undefined || final === undefined) {
    throw new BugError("POSITION_MALFORMED", `${position} is no position of a Postgres source`);
  }
  return [history, final];
}
