// DynamoDB Streams' own operations, as the double answers them.

import { DynamoFault, invalid, notFound } from "./fault.ts";
import type { DynamoState } from "./state.ts";
import type { ChangeRecord, Shard, Stream } from "./streams.ts";

export type Input = Readonly<Record<string, unknown>>;
export type Output = Readonly<Record<string, unknown>>;
export type Operation = (state: DynamoState, input: Input) => Output;

const PAGE_RECORDS = 1000;
const PAGE_BYTES = 1024 * 1024;
const PAGE_SHARDS = 100;
const ITERATOR_LIFE_MS = 15 * 60_000;

export const streamOperations: Readonly<Record<string, Operation>> = {
  ListStreams: ({ streams, clock, settings }, { TableName, ExclusiveStartStreamArn: after, Limit }) => {
    const limit = limitOf(Limit, PAGE_SHARDS);
    for (const stream of streams) stream.trimBefore(clock.wall() - settings.retentionMs);
    const there = streams
      .filter(({ table, gone }) => !gone && (TableName === undefined || table === TableName))
      .sort((a, b) => (a.arn < b.arn ? -1 : 1))
      .filter(({ arn }) => after === undefined || arn > String(after));
    const page = there.slice(0, limit);
    return {
      Streams: page.map(({ arn, table, label }) => ({ StreamArn: arn, TableName: table, StreamLabel: label })),
      ...(there.length > page.length && { LastEvaluatedStreamArn: page.at(-1)?.arn }),
    };
  },

  DescribeStream: (state, { StreamArn, ShardFilter, ExclusiveStartShardId: after, Limit }) => {
    const stream = state.stream(StreamArn);
    const { knowsChildren, pageShards } = state.settings;
    const limit = Math.min(pageShards, limitOf(Limit, PAGE_SHARDS));
    const filter = ShardFilter as { readonly Type?: string; readonly ShardId?: string } | undefined;
    if (filter !== undefined && filter.Type !== "CHILD_SHARDS")
      throw invalid("ShardFilter's Type must be CHILD_SHARDS");
    const there = stream.shards.filter(
      ({ gone, unlisted, parent }) =>
        !gone && !unlisted && (!knowsChildren || filter === undefined || parent === filter.ShardId),
    );
    const from = after === undefined ? 0 : there.findIndex(({ id }) => id === after) + 1;
    const page = there.slice(from, from + limit);
    return {
      StreamDescription: {
        ...{ StreamArn: stream.arn, StreamLabel: stream.label, TableName: stream.table },
        ...{ StreamStatus: stream.disabled ? "DISABLED" : "ENABLED", StreamViewType: stream.view },
        ...{ CreationRequestDateTime: stream.createdAt / 1000, KeySchema: stream.keySchema },
        Shards: page.map(shardJson),
        ...(from + page.length < there.length && { LastEvaluatedShardId: page.at(-1)?.id }),
      },
    };
  },

  GetShardIterator: (state, { StreamArn, ShardId, ShardIteratorType: type, SequenceNumber }) => {
    const stream = state.stream(StreamArn);
    const shard = shardOf(stream, ShardId);
    const issue = (at: number): Output => ({ ShardIterator: tokenOf(stream, shard, at, state.clock.now()) });
    if (type === "TRIM_HORIZON") return issue(shard.trimmed);
    if (type === "LATEST") return issue(Math.max(shard.trimmed, stream.visible(shard)));
    if (type !== "AT_SEQUENCE_NUMBER" && type !== "AFTER_SEQUENCE_NUMBER")
      throw invalid(`Value '${type}' at 'shardIteratorType' failed to satisfy constraint`);
    if (typeof SequenceNumber !== "string" || !/^\d{21,40}$/.test(SequenceNumber))
      throw invalid(`Value '${SequenceNumber}' at 'sequenceNumber' failed to satisfy constraint: 21 to 40 digits`);
    const number = BigInt(SequenceNumber);
    const isBehind = shard.end !== undefined && number > BigInt(shard.end);
    if (number < BigInt(shard.start) || isBehind) throw invalid("Invalid SequenceNumber");
    const isAfter = type === "AFTER_SEQUENCE_NUMBER";
    const at = shard.notes.findIndex((note) => (isAfter ? note.number > number : note.number >= number));
    const newestLost = shard.notes[shard.trimmed - 1]?.number;
    // What comes behind the newest lost one is all there.
    if (newestLost !== undefined && number <= newestLost && !(isAfter && number === newestLost)) throw trimmed();
    return issue(at < 0 ? shard.records.length : at);
  },

  GetRecords: (state, { ShardIterator, Limit }) => {
    const limit = limitOf(Limit, PAGE_RECORDS);
    const { arn, id, at, issuedAt } = readToken(ShardIterator);
    if (state.clock.now() - issuedAt > ITERATOR_LIFE_MS)
      throw new DynamoFault("ExpiredIteratorException", "Iterator expired");
    const stream = state.stream(arn);
    const shard = shardOf(stream, id);
    if (at < shard.trimmed) throw trimmed();
    const page = pageOf(shard, at, Math.min(stream.visible(shard), at + limit));
    const next = at + page.length;
    const isLast = !shard.isOpen && next >= shard.records.length;
    const ends = isLast && (state.settings.closesWithRecords || page.length === 0);
    return {
      Records: page,
      ...(!ends && { NextShardIterator: tokenOf(stream, shard, next, state.clock.now()) }),
    };
  },
};

/** At least one record, and no more of them than a page holds. */
function pageOf({ records, notes }: Shard, from: number, to: number): readonly ChangeRecord[] {
  let bytes = 0;
  let end = from;
  while (end < to) {
    bytes += notes[end]?.bytes ?? 0;
    if (end > from && bytes > PAGE_BYTES) break;
    end++;
  }
  return records.slice(from, end);
}

function shardJson({ id, parent, start, end }: Shard): Output {
  return {
    ShardId: id,
    ...(parent !== undefined && { ParentShardId: parent }),
    SequenceNumberRange: { StartingSequenceNumber: start, ...(end !== undefined && { EndingSequenceNumber: end }) },
  };
}

function shardOf(stream: Stream, id: unknown): Shard {
  const shard = stream.shards.find((one) => one.id === id && !one.gone);
  if (shard === undefined) throw notFound(`Shard: ${id}`);
  return shard;
}

function trimmed(): DynamoFault {
  return new DynamoFault(
    "TrimmedDataAccessException",
    "The operation attempted to read past the oldest stream record in a shard.",
  );
}

/** @throws DynamoFault where it is none of 1 to `most` */
export function limitOf(limit: unknown, most: number): number {
  if (limit === undefined) return most;
  if (typeof limit === "number" && limit >= 1 && limit <= most) return limit;
  throw invalid(
    `Value '${limit}' at 'limit' failed to satisfy constraint: Member must have value between 1 and ${most}`,
  );
}

function tokenOf({ arn }: Stream, { id }: Shard, at: number, issuedAt: number): string {
  return `${arn}|1|${Buffer.from(JSON.stringify({ arn, id, at, issuedAt })).toString("base64")}`;
}

interface Token {
  readonly arn: string;
  readonly id: string;
  readonly at: number;
  readonly issuedAt: number;
}

function readToken(token: unknown): Token {
  const [, , text] = String(token).split("|");
  try {
    return JSON.parse(Buffer.from(text ?? "", "base64").toString()) as Token;
  } catch {
    throw invalid("Invalid ShardIterator");
  }
}

/** Which shard an iterator is of; of none where it is no iterator. */
export function shardOfToken(token: unknown): string {
  const [arn, , text = ""] = String(token).split("|");
  return `${arn} ${/"id":"([^"]+)"/.exec(Buffer.from(text, "base64").toString())?.[1]}`;
}
