// Our double of DynamoDB as a `DynamoApi` in the process, by an injected clock: what a test writes down, without a port and without the SDK.

import type { Clock } from "../../../src/clock.ts";
import { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoFault } from "../../../src/dev/dynamodb/fault.ts";
import type { DynamoState } from "../../../src/dev/dynamodb/state.ts";
import type { Stream } from "../../../src/dev/dynamodb/streams.ts";
import type { DynamoApi, From, KeyAttribute, ViewType } from "../../../src/source/dynamodb/client/api.ts";
import { ServerError, translateThrown } from "../../../src/source/dynamodb/client/errors.ts";
import type { RawRecord, StreamRecord } from "../../../src/source/dynamodb/decode/record.ts";

/** By the endpoints that configurations call them by. */
export const scriptedDynamos = new Map<string, ScriptedDynamo>();

// biome-ignore lint/suspicious/noExplicitAny: the answers of a server
type Answer = any;

/** What its streams are labelled with. */
const FIRST_LABEL = Date.parse("2026-01-01T00:00:00.001Z");

export class ScriptedDynamo {
  readonly name: string;
  readonly double: DynamoDouble;
  /** Of tables, what they are tagged with. */
  readonly tags = new Map<string, Readonly<Record<string, string>>>();
  /** Of tables, the attribute by which items expire. */
  readonly expiry = new Map<string, string>();
  /** Of tables, the key attributes where they are not one text, `id`. */
  readonly keys = new Map<string, readonly KeyAttribute[]>();
  /** Of tables, what their streams carry where that is not all. */
  readonly views = new Map<string, ViewType>();
  sentBytes = 0;
  /** Called before each question; what it throws is the answer. */
  before: (operation: keyof DynamoApi, subject: string) => void = () => {};
  readonly asked = new Map<string, number>();
  #cuts = 0;

  /** What it holds is trimmed by `trim` alone, however time goes on. */
  constructor(name: string, clock: Clock) {
    this.name = name;
    this.double = new DynamoDouble({
      ...{ clock, account: name, labelsFrom: FIRST_LABEL, retentionMs: Number.POSITIVE_INFINITY },
    });
    scriptedDynamos.set(name, this);
  }

  get #state(): DynamoState {
    return this.double.state;
  }

  get streams(): Stream[] {
    return this.#state.streams;
  }

  set pageShards(shards: number) {
    this.#state.settings.pageShards = shards;
  }

  set closesWithRecords(closes: boolean) {
    this.#state.settings.closesWithRecords = closes;
  }

  set knowsChildren(knows: boolean) {
    this.#state.settings.knowsChildren = knows;
  }

  createTable(table: string, options: { readonly stream?: boolean } = {}): void {
    this.double.createTable(table, options);
  }

  enable(table: string): Stream {
    const of = this.#state.table(table);
    if (of.stream !== undefined && !this.streams.includes(of.stream)) of.stream = undefined;
    return this.double.life.enable(table, this.views.get(table));
  }

  disable(table: string): void {
    this.double.life.disable(table);
  }

  /** The table and its stream end; what the stream holds can be read for a day. */
  async deleteTable(TableName: string): Promise<void> {
    await this.double.ask("DynamoDB_20120810", "DeleteTable", { TableName });
  }

  /** A day behind the end of a stream. */
  forget(label: string): void {
    for (const stream of this.streams) stream.gone ||= stream.label === label && stream.disabled;
  }

  /** All open shards are closed, and have so many children each. */
  roll(table: string, children = 1): void {
    this.double.life.roll(table, { children });
  }

  /** @param more stands for what the record would say */
  put(table: string, id: string, text = "", more: Partial<StreamRecord> = {}): void {
    const of = this.#state.table(table);
    if (of.stream === undefined || of.stream.disabled) throw new Error(`${table} has no open shard`);
    const NewImage = { id: { S: id }, text: { S: text } };
    this.#state.append(of, of.keyOf(NewImage), { eventName: "INSERT", NewImage }, undefined, more);
  }

  /** What the table's shards hold by now is no longer kept. @param gone closed ones whole @param keep records that are left */
  trim(table: string, gone = false, keep = 0): void {
    this.double.life.trim(table, { gone, keep });
  }

  /** What was closed longer ago than this is gone, whole. */
  forgetClosed(table: string, listedMs: number): void {
    const wall = this.#state.clock.wall() - listedMs;
    for (const shard of this.streamOf(table).shards) shard.gone ||= (shard.closedAt ?? wall) < wall;
  }

  streamOf(table: string): Stream {
    const { stream } = this.#state.table(table);
    if (stream === undefined) throw new Error(`${table} has no stream`);
    return stream;
  }

  /** All connections break. */
  cut(): void {
    this.#cuts++;
  }

  connect(): DynamoApi {
    const cuts = this.#cuts;
    const ask = async (method: keyof DynamoApi, subject: string, operation: string, input: object): Promise<Answer> => {
      this.asked.set(method, (this.asked.get(method) ?? 0) + 1);
      if (cuts !== this.#cuts) throw new ServerError("away", "the connection is cut");
      this.before(method, subject);
      const service = ofTables.has(operation) ? "DynamoDB" : "DynamoDBStreams";
      try {
        return await this.double.ask(`${service}_20120810`, operation, input as Record<string, unknown>);
      } catch (error) {
        if (!(error instanceof DynamoFault)) throw error;
        throw translateThrown(Object.assign(error, { $metadata: { httpStatusCode: error.status } }));
      }
    };
    const here = async <T>(method: keyof DynamoApi, subject: string, answer: T): Promise<T> => {
      this.asked.set(method, (this.asked.get(method) ?? 0) + 1);
      this.before(method, subject);
      return answer;
    };
    return {
      describeTable: async (table) => {
        const { Table } = await ask("describeTable", table, "DescribeTable", { TableName: table });
        const { TableId: id, TableArn: arn, LatestStreamArn, LatestStreamLabel: label, StreamSpecification } = Table;
        const { TableStatus: status, ItemCount: items } = Table;
        const stream = label === undefined ? undefined : { arn: LatestStreamArn, label };
        return {
          table,
          keys: this.#keysOf(table),
          id,
          arn,
          stream,
          enabled: StreamSpecification !== undefined,
          status,
          items,
        };
      },
      listTables: async (after) => {
        const input = after === undefined ? {} : { ExclusiveStartTableName: after };
        const answer = await ask("listTables", "", "ListTables", input);
        return { tables: answer.TableNames, next: answer.LastEvaluatedTableName };
      },
      listStreams: async (TableName, after) => {
        const input = after === undefined ? { TableName } : { TableName, ExclusiveStartStreamArn: after };
        const answer = await ask("listStreams", TableName, "ListStreams", input);
        const streams = answer.Streams.map(({ StreamArn: arn, StreamLabel: label }: Answer) => ({ arn, label }));
        return { streams, next: answer.LastEvaluatedStreamArn };
      },
      tags: (arn) => here("tags", arn, { tags: this.tags.get(arn.split("/").at(-1) ?? "") ?? {}, next: undefined }),
      expiry: (table) => here("expiry", table, this.expiry.get(table)),
      describeStream: async (StreamArn, { after, childrenOf }) => {
        const { StreamDescription } = await ask("describeStream", StreamArn, "DescribeStream", {
          StreamArn,
          ...(after === undefined ? {} : { ExclusiveStartShardId: after }),
          ...(childrenOf === undefined ? {} : { ShardFilter: { Type: "CHILD_SHARDS", ShardId: childrenOf } }),
        });
        const { TableName, StreamViewType, StreamStatus, Shards, LastEvaluatedShardId: next } = StreamDescription;
        return {
          view: this.views.get(TableName) ?? StreamViewType,
          keyNames: this.#keysOf(TableName).map(({ name }) => name),
          disabled: StreamStatus !== "ENABLED",
          shards: Shards.map(({ ShardId: id, ParentShardId: parent, SequenceNumberRange: range }: Answer) => ({
            ...{ id, parent, start: range.StartingSequenceNumber },
            closed: range.EndingSequenceNumber !== undefined,
          })),
          next,
        };
      },
      iterator: async (StreamArn, ShardId, from) => {
        const input = { StreamArn, ShardId, ...iteratorInput(from) };
        return (await ask("iterator", ShardId, "GetShardIterator", input)).ShardIterator;
      },
      records: async (ShardIterator, Limit) => {
        const answer = await ask("records", ShardIterator, "GetRecords", { ShardIterator, Limit });
        const bytes = JSON.stringify(answer).length;
        this.sentBytes += bytes;
        return { records: answer.Records as readonly RawRecord[], bytes, next: answer.NextShardIterator };
      },
      scan: async (TableName, { segment: Segment, of: TotalSegments, after, limit: Limit }) => {
        const input = {
          TableName,
          Segment,
          TotalSegments,
          Limit,
          ConsistentRead: true,
          ReturnConsumedCapacity: "TOTAL",
        };
        const answer = await ask("scan", TableName, "Scan", { ...input, ...(after && { ExclusiveStartKey: after }) });
        const { Items: items, LastEvaluatedKey: next, ConsumedCapacity } = answer;
        const bytes = JSON.stringify(answer).length;
        return { items, next, units: ConsumedCapacity?.CapacityUnits, bytes, at: this.#state.clock.wall() };
      },
      close: () => {},
    };
  }

  #keysOf(table: string): readonly KeyAttribute[] {
    return this.keys.get(table) ?? [{ name: "id", type: "S" }];
  }
}

const ofTables: ReadonlySet<string> = new Set(["DescribeTable", "ListTables", "Scan"]);

const types = {
  ...{ horizon: "TRIM_HORIZON", latest: "LATEST" },
  ...{ number: "AT_SEQUENCE_NUMBER", behind: "AFTER_SEQUENCE_NUMBER" },
} as const;

function iteratorInput(from: From): object {
  return { ShardIteratorType: types[from.at], ...("number" in from && { SequenceNumber: from.number }) };
}
