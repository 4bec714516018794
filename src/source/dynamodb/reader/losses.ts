// What can never come, as the error that ends a reading: the source's record is made of it if the loss is accepted.

import { HistoryLostError } from "../../../errors.ts";
import { type ShardPlace, Step } from "../client/position.ts";
import type { LostRecord, SourceRecord, StreamEntry } from "../stream-record.ts";

const HINT =
  'What was not read is lost to the stream. `run --adopt`, or onGap: "continue", goes on behind a recorded gap; DynamoDB keeps changes for 24 hours.';

/** In one marker. */
const MOST_SHARDS = 100;

export type Loss =
  | {
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
    }
  | {
      readonly kind: "stream";
      /** The one that was read to its end. */
      readonly arn: string;
      readonly table: string;
      readonly label: string;
      /** With which its reading ended: what came behind them may be gone. */
      readonly shards: readonly string[];
      readonly next: { readonly arn: string; readonly label: string; readonly roots: readonly string[] };
    };

/** The error that ends a reading by it. */
export function lossError(loss: Loss): HistoryLostError {
  const { code, reason } = wordsOf(loss);
  return new HistoryLostError(code, reason, { hint: HINT });
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
    const place: ShardPlace = { number: loss.place?.number, step: Step.lost };
    const lost: LostRecord = { code, reason, place, gone, details: { table, stream: label, shard: about } };
    return withEntry(record, loss.arn, { ...entry, lost: { ...entry.lost, [loss.shard]: lost } });
  }
  const { next, table, label, shards } = loss;
  const [first = ""] = next.roots;
  const lost: LostRecord = {
    ...{ code, reason, gone: false, place: { step: Step.began } },
    details: { table, stream: label, shards: shards.slice(-MOST_SHARDS), next: next.label },
  };
  const begun: StreamEntry = {
    ...{ table, label: next.label, since: now, begun: "start", roots: [...next.roots], over: [], ended: false },
    lost: { [first]: lost },
  };
  return withEntry(withEntry(record, loss.arn, { ...entry, ended: true }), next.arn, begun);
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
