// DynamoDB by its SDK, which is loaded only when a source needs it. Answers with records are parsed here, by JSON.parse.

import type { ScanCommandInput } from "@aws-sdk/client-dynamodb";
import type { RawRecord } from "../decode/record.ts";
import type { DynamoConfig } from "../options/config.ts";
import type { Item } from "../values/attribute.ts";
import type { DynamoApi, From, KeyType, RecordsPage, ScanPage, StreamPage, TableFacts, ViewType } from "./api.ts";
import { driver, quiet } from "./driver.ts";
import { notDynamo } from "./endpoint-errors.ts";
import { ServerError, translateThrown } from "./errors.ts";
import { keepRaw, rawAnswer } from "./raw-records.ts";

const CONNECT_MS = 5_000;
const REQUEST_MS = 20_000;
/** Shards on a page, at most. */
const PAGE_SHARDS = 100;

/** Asks nothing yet. @throws ConfigError */
export async function connectDynamo(config: Pick<DynamoConfig, "region" | "endpoint" | "profile">): Promise<DynamoApi> {
  const { database, streams } = await driver();
  const { region, endpoint, profile } = config;
  const settings = {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(profile === undefined ? {} : { profile }),
    logger: quiet,
    maxAttempts: 1, // who asks knows how long to wait
    cacheMiddleware: true, // else all that the SDK does is put together anew for each request
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: REQUEST_MS, throwOnRequestTimeout: true },
  };
  const tableClient = new database.DynamoDBClient(settings);
  const streamClient = new streams.DynamoDBStreamsClient(settings);
  keepRaw(streamClient, "GetRecords");
  keepRaw(tableClient, "Scan");
  const asked = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      throw translateThrown(error);
    }
  };
  return {
    describeTable: async (TableName): Promise<TableFacts> => {
      const { Table = missing("Table") } = await asked(
        tableClient.send(new database.DescribeTableCommand({ TableName })),
      );
      const { TableId, TableArn = "", LatestStreamArn, LatestStreamLabel, StreamSpecification } = Table;
      const replicas = (Table.Replicas ?? []).flatMap(({ RegionName }) => RegionName ?? []);
      const types = new Map(
        Table.AttributeDefinitions?.map(({ AttributeName, AttributeType }) => [AttributeName, AttributeType]),
      );
      const keys = keyNamesOf(Table.KeySchema ?? []).map((name) => ({
        name,
        type: (types.get(name) ?? "S") as KeyType,
      }));
      const stream =
        LatestStreamArn === undefined || LatestStreamLabel === undefined
          ? undefined
          : { arn: LatestStreamArn, label: LatestStreamLabel };
      const enabled = StreamSpecification?.StreamEnabled === true;
      const { TableStatus: status, ItemCount: items } = Table;
      return { table: TableName, keys, id: TableId, arn: TableArn, stream, enabled, status, items, replicas };
    },
    listTables: async (after) => {
      const input = after === undefined ? {} : { ExclusiveStartTableName: after };
      const answer = await asked(tableClient.send(new database.ListTablesCommand(input)));
      return { tables: answer.TableNames ?? [], next: answer.LastEvaluatedTableName };
    },
    listStreams: async (TableName, after) => {
      const input = { TableName, ...(after === undefined ? {} : { ExclusiveStartStreamArn: after }) };
      const answer = await asked(streamClient.send(new streams.ListStreamsCommand(input)));
      const named = (answer.Streams ?? []).map(({ StreamArn: arn = "", StreamLabel: label = "" }) => ({ arn, label }));
      return { streams: named, next: answer.LastEvaluatedStreamArn };
    },
    tags: async (ResourceArn, after) => {
      const input = { ResourceArn, ...(after === undefined ? {} : { NextToken: after }) };
      const answer = await asked(tableClient.send(new database.ListTagsOfResourceCommand(input)));
      const tags = Object.fromEntries(answer.Tags?.map(({ Key = "", Value = "" }) => [Key, Value]) ?? []);
      return { tags, next: answer.NextToken };
    },
    expiry: async (TableName) => {
      const command = new database.DescribeTimeToLiveCommand({ TableName });
      const { TimeToLiveDescription: { TimeToLiveStatus, AttributeName } = {} } = await asked(
        tableClient.send(command),
      );
      return TimeToLiveStatus === "ENABLED" || TimeToLiveStatus === "ENABLING" ? AttributeName : undefined;
    },
    describeStream: async (StreamArn, { after, childrenOf }): Promise<StreamPage> => {
      const command = new streams.DescribeStreamCommand({
        StreamArn,
        Limit: PAGE_SHARDS,
        ...(after === undefined ? {} : { ExclusiveStartShardId: after }),
        ...(childrenOf === undefined ? {} : { ShardFilter: { Type: "CHILD_SHARDS", ShardId: childrenOf } }),
      });
      const { StreamDescription: stream = missing("StreamDescription") } = await asked(streamClient.send(command));
      return {
        view: stream.StreamViewType as ViewType | undefined,
        keyNames: keyNamesOf(stream.KeySchema ?? []),
        disabled: stream.StreamStatus === "DISABLED" || stream.StreamStatus === "DISABLING",
        shards: (stream.Shards ?? []).map(({ ShardId = "", ParentShardId, SequenceNumberRange: range }) => ({
          id: ShardId,
          parent: ParentShardId,
          start: range?.StartingSequenceNumber,
          closed: range?.EndingSequenceNumber !== undefined,
        })),
        next: stream.LastEvaluatedShardId,
      };
    },
    iterator: async (StreamArn, ShardId, from) => {
      const command = new streams.GetShardIteratorCommand({ StreamArn, ShardId, ...iteratorInput(from) });
      return (await asked(streamClient.send(command))).ShardIterator ?? missing("ShardIterator");
    },
    records: async (ShardIterator, Limit): Promise<RecordsPage> => {
      const command = new streams.GetRecordsCommand({ ShardIterator, Limit });
      const { bytes: raw, at } = rawAnswer(await asked(streamClient.send(command)));
      const { Records: records, NextShardIterator } = parsed<RecordsAnswer>(raw, "Records");
      return { records, bytes: raw.length, next: NextShardIterator ?? undefined, at };
    },
    scan: async (TableName, { segment, of, after, limit }): Promise<ScanPage> => {
      const command = new database.ScanCommand({
        ...{ TableName, ConsistentRead: true, Limit: limit, ReturnConsumedCapacity: "TOTAL" },
        ...(of > 1 && { Segment: segment, TotalSegments: of }),
        ...(after && { ExclusiveStartKey: after as unknown as NonNullable<ScanCommandInput["ExclusiveStartKey"]> }),
      });
      const { bytes: raw, at } = rawAnswer(await asked(tableClient.send(command)));
      const { Items: items, LastEvaluatedKey: next, ConsumedCapacity } = parsed<ScanAnswer>(raw, "Items");
      return { items, next: next ?? undefined, units: ConsumedCapacity?.CapacityUnits, bytes: raw.length, at };
    },
    close: () => {
      tableClient.destroy();
      streamClient.destroy();
    },
  };
}

interface RecordsAnswer {
  readonly Records: readonly RawRecord[];
  readonly NextShardIterator?: string | null;
}

interface ScanAnswer {
  readonly Items: readonly Item[];
  readonly LastEvaluatedKey?: Item | null;
  readonly ConsumedCapacity?: { readonly CapacityUnits?: number };
}

/**
 * An answer without its list would say that the shard has ended, or the table: only one that is DynamoDB's may.
 * @throws ServerError where it is none, or was cut off: the next one may be
 */
function parsed<Answer extends object>(raw: Buffer, list: keyof Answer & string): Answer {
  try {
    const answer = JSON.parse(raw.toString()) as Answer;
    if (Array.isArray(answer[list])) return answer;
  } catch {
    // Its text is not ours to quote.
  }
  throw new ServerError("failed", `DynamoDB: an answer that has no ${list}, or is no JSON`);
}

/** @throws ConfigError for an answer that lacks what each answer of DynamoDB has */
function missing(member: string): never {
  throw notDynamo(`an answer without ${member}`);
}

function iteratorInput(from: From) {
  switch (from.at) {
    case "horizon":
      return { ShardIteratorType: "TRIM_HORIZON" } as const;
    case "latest":
      return { ShardIteratorType: "LATEST" } as const;
    case "number":
      return { ShardIteratorType: "AT_SEQUENCE_NUMBER", SequenceNumber: from.number } as const;
    case "behind":
      return { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: from.number } as const;
  }
}

/** The partition key first. */
function keyNamesOf(
  schema: readonly { readonly AttributeName?: string | undefined; readonly KeyType?: string | undefined }[],
): readonly string[] {
  const sorted = [...schema].sort((a, b) => Number(a.KeyType !== "HASH") - Number(b.KeyType !== "HASH"));
  return sorted.map(({ AttributeName = "" }) => AttributeName);
}
