// Our double of DynamoDB behind a port, by the real SDK: what it answers, and what a test makes go wrong.

import { DescribeTableCommand, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
} from "@aws-sdk/client-dynamodb-streams";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../src/dev/dynamodb/dynamo-http.ts";
import { FAILED, THROTTLED } from "../../../src/dev/dynamodb/trouble.ts";

let double: DynamoDouble;
let http: DynamoHttp;
let tables: DynamoDBClient;
let streams: DynamoDBStreamsClient;

beforeEach(async () => {
  double = new DynamoDouble();
  http = await DynamoHttp.start(double);
  const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
  const settings = { region: "eu-west-1", endpoint: http.url, credentials, maxAttempts: 1 };
  tables = new DynamoDBClient(settings);
  streams = new DynamoDBStreamsClient(settings);
  double.createTable("carts");
});

afterEach(async () => {
  tables.destroy();
  streams.destroy();
  await http[Symbol.asyncDispose]();
});

test("a write is read from its stream", async () => {
  await tables.send(new PutItemCommand({ TableName: "carts", Item: { id: { S: "a" }, n: { N: "1" } } }));
  const { Table } = await tables.send(new DescribeTableCommand({ TableName: "carts" }));
  const StreamArn = Table?.LatestStreamArn;
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }));
  const ShardId = StreamDescription?.Shards?.[0]?.ShardId;
  const asked = { StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" } as const;
  const { ShardIterator } = await streams.send(new GetShardIteratorCommand(asked));
  const { Records } = await streams.send(new GetRecordsCommand({ ShardIterator }));
  expect(Records).toMatchObject([{ eventName: "INSERT", dynamodb: { NewImage: { id: { S: "a" }, n: { N: "1" } } } }]);
});

const describe = () => tables.send(new DescribeTableCommand({ TableName: "carts" }));

test.each([
  [THROTTLED, "ProvisionedThroughputExceededException"],
  [FAILED, "InternalServerError"],
  [{ kind: "refuse", type: "ExpiredTokenException", message: "it has expired" } as const, "ExpiredTokenException"],
])("a refusal has the name that the SDK knows: %j", async (what, name) => {
  const end = double.troubles.add({ operations: ["DescribeTable"], what });
  await expect(describe()).rejects.toMatchObject({ name });
  end();
  await describe();
});

test("trouble meets so many requests as it says, of what it names", async () => {
  double.troubles.add({ naming: '"carts"', times: 2, what: { kind: "reset" } });
  double.createTable("others");
  await tables.send(new DescribeTableCommand({ TableName: "others" }));
  for (let nth = 0; nth < 2; nth++) await expect(describe()).rejects.toThrow(/ECONNRESET|hang up/);
  await describe();
});

test("a proxy's page can stand for the answer", async () => {
  const body = "<html>Bad Gateway</html>";
  double.troubles.add({ times: 1, what: { kind: "answer", status: 502, contentType: "text/html", body } });
  await expect(describe()).rejects.toMatchObject({ $metadata: { httpStatusCode: 502 } });
});
