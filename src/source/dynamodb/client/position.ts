// Positions within a shard: `<history:04x>.<number:040d>.<step><length:02d>.<hash>` and `+`, for each record stands by itself. The
// sequence number orders; its length gives back how the server spells it. The hash is of the partition: numbers are unique
// within one stream only, and no position may stand in two partitions.

import { BugError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import { hashOf } from "./partition.ts";

/** What stands at a number, in this order. */
export const Step = {
  /** The shard begins here, for the source. */
  began: 1,
  /** Its marker. */
  opened: 2,
  /** A loss: the record with this number is the first that is left behind it. */
  behindLoss: 3,
  record: 4,
  /** What came behind the record is lost, and nothing was left behind that. */
  lost: 6,
  /** The same once more, where nothing came between. */
  lostAgain: 7,
  /** The shard is closed, and read to its end. */
  ended: 8,
} as const;
export type Step = (typeof Step)[keyof typeof Step];

/** A place in one shard. */
export interface ShardPlace {
  /** As the server spells it; undefined before the first record. */
  readonly number: string | undefined;
  readonly step: Step;
}

/** All streams have one history: another life of a stream is another partition. */
const HISTORY = "0001";
const DIGITS = 40;

const pattern = /^[0-9a-f]{4}\.(\d{40})\.(\d)(\d{2})\.[0-9a-f]{16}\+?$/;

/** Makes the positions of one partition. */
export class PositionFormat {
  readonly #tail: string;

  constructor(partition: string) {
    this.#tail = `.${hashOf(partition)}+`;
  }

  format({ number = "", step }: ShardPlace): Position {
    const length = String(number.length).padStart(2, "0");
    return `${HISTORY}.${padNumber(number)}.${step}${length}${this.#tail}` as Position;
  }
}

/** @throws BugError POSITION_MALFORMED */
export function parsePosition(position: Position): ShardPlace {
  const [, digits, step, length] = pattern.exec(position) ?? [];
  const known = Object.values(Step).find((one) => String(one) === step);
  if (digits === undefined || length === undefined || known === undefined) {
    throw new BugError("POSITION_MALFORMED", `${position} is no position of a DynamoDB source`);
  }
  const number = Number(length) === 0 ? undefined : digits.slice(DIGITS - Number(length));
  return { number, step: known };
}

/** Sorts as text; of at most forty digits. */
export function padNumber(number: string): string {
  return number.padStart(DIGITS, "0");
}

/** Whether a number of a shard comes before another one. */
export function isBeforeNumber(a: string, b: string): boolean {
  return padNumber(a) < padNumber(b);
}

/** Makes the ids of one stream's events: the same for the same change whoever reads it. */
export class EventIds {
  readonly #head: string;

  /** @param arn of the stream */
  constructor(source: string, arn: string) {
    this.#head = `${source}.${HISTORY}.${hashOf(arn)}.`;
  }

  of(number: string): string {
    return this.#head + padNumber(number);
  }
}
