// What can never come, as the error that ends a reading: the source's record is made of it if the loss is accepted.

import { HistoryLostError } from "../../../errors.ts";
import { isBeforeNumber, type ShardPlace, Step } from "../client/position.ts";
import type { LostRecord, SourceRecord, StreamEntry } from "../stream-record.ts";

const HINT =
  'What was not read is lost to the stream. `run --adopt`, or onGap: "continue", goes on behind a recorded gap; DynamoDB keeps changes for 24 hours.';

/** In one marker. */
const MOST_SHARDS = 100;

export interface ShardLoss {
  readonly kind: "shard";
  readonly arn: string;
  /** The shard that says so, and how far it was read. */
  readonly shard: string;
  readonly place: ShardPlace | undefined;
  readonly table: string;
  readonly label: string;
  /** The shard that is gone or trimmed: itself, or its parent. */
  readonly about: string;
  /** Whether nothing of the shard that says so is left. */
  readonly gone: boolean;
  /** The oldest record that is left of the shard that says so. */
  readonly resume?: string | undefined;
}

export interface StreamLoss {
  readonly kind: "stream";
  /** The one that was read to its end. */
  readonly arn: string;
  readonly table: string;
  readonly label: string;
  /** With which its reading ended: what came behind them may be gone. */
  readonly shards: readonly string[];
  readonly next: {
    readonly arn: string;
    readonly label: string;
    readonly tableId?: string | undefined;
    /** Shards that have no parent. */
    readonly roots: readonly string[];
    /** The shard that says so, and what of it is lost beside. */
    readonly first: string;
    readonly about?: string | undefined;
    readonly resume?: string | undefined;
  };
}

export type Loss = ShardLoss | StreamLoss;

/** The error that ends a reading by these. */
export function lossError(losses: readonly [Loss, ...Loss[]]): HistoryLostError {
  const [first, ...more] = losses;
  const { code, reason } = wordsOf(first);
  const others = more.length === 0 ? "" : ` (and ${more.length} more such)`;
  return new HistoryLostError(code, reason + others, { hint: HINT });
}

/** The record that goes on behind these. @param now RFC 3339 */
export function recordBehind(record: SourceRecord, losses: readonly Loss[], now: string): SourceRecord {
  return losses.reduce((before, loss) => withLoss(before, loss, now), record);
}

function withLoss(record: SourceRecord, loss: Loss, now: string): SourceRecord {
  const entry = record.streams[loss.arn];
  if (entry === undefined) return record;
  const { code, reason } = wordsOf(loss);
  if (loss.kind === "shard") {
    const { table, label, about, gone } = loss;
    const details = { table, stream: label, shard: about };
    const lost: LostRecord = { code, reason, place: placeBehind(loss), at: now, gone, details };
    return withEntry(record, loss.arn, { ...entry, lost: { ...entry.lost, [loss.shard]: lost } });
  }
  const { next, table, label, shards } = loss;
  const { first, about, resume } = next;
  const beside = about === undefined ? {} : { shard: about };
  const lost: LostRecord = {
    ...{ code, reason, at: now, gone: false },
    place: resume === undefined ? { step: Step.began } : { number: resume, step: Step.behindLoss },
    details: { table, stream: label, shards: shards.slice(-MOST_SHARDS), next: next.label, ...beside },
  };
  const begun: StreamEntry = {
    ...{ table, label: next.label, since: now, begun: "start", roots: [...next.roots], over: [] },
    ...{ done: {}, ended: false },
    ...(next.tableId === undefined ? {} : { tableId: next.tableId }),
    lost: { [first]: lost },
  };
  // The one before is read on until its end is acknowledged: what was handed out of it may not be stored by now.
  return record.streams[next.arn] === undefined ? withEntry(record, next.arn, begun) : record;
}

/** Where its markers stand: behind all that came before, each loss of a shard at another place. */
function placeBehind({ place, resume }: ShardLoss): ShardPlace {
  const number = place?.number;
  if (resume !== undefined && (number === undefined || isBeforeNumber(number, resume)))
    return { number: resume, step: Step.behindLoss };
  return { number, step: (place?.step ?? Step.began) < Step.lost ? Step.lost : Step.lostAgain };
}

function withEntry(record: SourceRecord, arn: string, entry: StreamEntry): SourceRecord {
  return { ...record, streams: { ...record.streams, [arn]: entry } };
}

function wordsOf(loss: Loss): { readonly code: string; readonly reason: string } {
  const { table, label } = loss;
  if (loss.kind === "stream") {
    const reason = `the stream ${label} of the table ${table} was switched off, and is followed by ${loss.next.label}: writes between the two are in neither`;
    return { code: "STREAM_REPLACED", reason };
  }
  const { about, shard, gone } = loss;
  if (about !== shard)
    return {
      code: "SHARD_EXPIRED",
      reason: `the shard ${about} of the table ${table}, which came before ${shard}, was gone before it was read`,
    };
  const what = gone ? "was gone before it was read to its end" : "no longer holds what comes next";
  return { code: gone ? "SHARD_EXPIRED" : "SHARD_TRIMMED", reason: `the shard ${shard} of the table ${table} ${what}` };
}
