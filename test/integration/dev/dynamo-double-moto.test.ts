// Our double of DynamoDB beside a server that somebody else wrote: what both answer looks the same, member by member.

import { describe, expect, test } from "vitest";
import { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../src/dev/dynamodb/dynamo-http.ts";
import { dynamoTarget, foreignDynamo } from "../../support/dynamodb/dynamo-target.ts";
import { sharedDynamo } from "../../support/dynamodb/shared-dynamo.ts";
import { missing } from "../../support/servers.ts";

// biome-ignore lint/suspicious/noExplicitAny: the answers of a server
type Json = any;

const AUTHORIZATION =
  "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";

/** Asks without the SDK: the answer as it came. */
async function ask(
  url: string,
  operation: string,
  input: object,
): Promise<{ readonly status: number; readonly json: Json }> {
  const service = /Stream|Shard|Records/.test(operation) ? "DynamoDBStreams_20120810" : "DynamoDB_20120810";
  const headers = { "x-amz-target": `${service}.${operation}`, authorization: AUTHORIZATION };
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(input), headers });
  return { status: answer.status, json: await answer.json() };
}

/** Names of members with the kinds of their values, and the values themselves of those that both must agree on. */
function shapeOf(json: Json): Json {
  if (Array.isArray(json)) return json.map(shapeOf);
  if (typeof json !== "object" || json === null) return typeof json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, shapeOf(value)]));
}

/** The whole life of two items, as one server answers it. */
async function lifeOn(url: string, table: string): Promise<readonly (readonly [operation: string, answer: Json])[]> {
  const answers: [string, Json][] = [];
  const call = async (operation: string, input: object): Promise<Json> => {
    const { status, json } = await ask(url, operation, input);
    answers.push([operation, { status, ...(status === 200 ? json : { type: String(json.__type).split("#").at(-1) }) }]);
    return json;
  };
  const TableName = table;
  const Key = { id: { S: "a" } };
  await call("CreateTable", {
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
  });
  await call("DescribeTable", { TableName });
  await call("PutItem", { TableName, Item: { ...Key, n: { N: "1.5" }, m: { M: { l: { L: [{ NULL: true }] } } } } });
  await call("PutItem", { TableName, Item: Key, ConditionExpression: "attribute_not_exists(id)" });
  await call("UpdateItem", {
    ...{ TableName, Key, UpdateExpression: "SET n = n + :one REMOVE m" },
    ...{ ExpressionAttributeValues: { ":one": { N: "1" } }, ReturnValues: "ALL_NEW" },
  });
  await call("GetItem", { TableName, Key });
  await call("GetItem", { TableName, Key: { id: { S: "none" } } });
  await call("BatchWriteItem", { RequestItems: { [table]: [{ PutRequest: { Item: { id: { S: "b" } } } }] } });
  await call("TransactWriteItems", { TransactItems: [{ Put: { TableName, Item: { id: { S: "c" } } } }] });
  await call("Scan", { TableName });
  await call("DeleteItem", { TableName, Key, ReturnValues: "ALL_OLD" });
  await call("UpdateTimeToLive", { TableName, TimeToLiveSpecification: { Enabled: true, AttributeName: "until" } });
  await call("DescribeTimeToLive", { TableName });
  for (const operation of ["DescribeTable", "Scan"]) await call(operation, { TableName: "no-such-table" });
  const { Streams } = await call("ListStreams", { TableName });
  const { StreamArn } = Streams[0];
  const { StreamDescription } = await call("DescribeStream", { StreamArn });
  const { ShardId } = StreamDescription.Shards[0];
  const { ShardIterator } = await call("GetShardIterator", { StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" });
  await call("GetRecords", { ShardIterator });
  await call("DeleteTable", { TableName });
  return answers;
}

/** What is compared of an answer: of a record also what it says. */
function comparable([operation, answer]: readonly [string, Json]): Json {
  answer.Items?.sort((a: Json, b: Json) => (a.id.S < b.id.S ? -1 : 1)); // no server promises an order of a scan
  if (operation !== "GetRecords") return [operation, answer.status, answer.type, shapeOf(answer)];
  return answer.Records.map(({ eventName, dynamodb }: Json) => {
    const { Keys, NewImage, OldImage } = dynamodb;
    return [eventName, { Keys, NewImage, OldImage }];
  });
}

/** Members of ours that the other one lacks, as paths; and those of another kind. */
function differences(ours: Json, theirs: Json, path = ""): readonly string[] {
  if (typeof ours !== "object" || ours === null) return ours === theirs ? [] : [`${path}: ${ours}, not ${theirs}`];
  if (typeof theirs !== "object" || theirs === null) return [`${path}: ${JSON.stringify(ours)}, not ${theirs}`];
  return Object.keys(ours).flatMap((name) => differences(ours[name], theirs[name], `${path}.${name}`));
}

// Another server than moto may differ where both are right.
describe.skipIf(missing("dynamodb") || foreignDynamo !== undefined)(`beside ${dynamoTarget} our double`, () => {
  test("answers each operation with members that it has too, and its stream says the same", async () => {
    await using http = await DynamoHttp.start(new DynamoDouble());
    const ours = (await lifeOn(http.url, "life")).map(comparable);
    const theirs = (await lifeOn(await sharedDynamo(), "life")).map(comparable);
    expect(ours.map((one) => one[0])).toEqual(theirs.map((one) => one[0]));
    const found = ours.flatMap((one, nth) => differences(one, theirs[nth], String(one[0])));
    // moto leaves out the id, which the documentation has.
    expect(found.filter((one) => !/TableId: string, not undefined$/.test(one))).toEqual([]);
  });
});
