// Our double of DynamoDB: tables and items, what it refuses, and what of it gets into the stream.

import { describe, expect, test } from "vitest";
import { DynamoDouble } from "../../../../src/dev/dynamodb/dynamo-double.ts";
import { normalNumber } from "../../../../src/dev/dynamodb/values.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

function ground() {
  const double = new DynamoDouble({ clock: new VirtualClock() });
  const ask = (operation: string, input: object) => double.answer("DynamoDB_20120810", operation, input as never);
  double.createTable("carts");
  const written = (): readonly string[] =>
    double.state.table("carts").stream?.shards.flatMap(({ records }) => records.map(({ eventName }) => eventName)) ??
    [];
  const item = (id: string): unknown => ask("GetItem", { TableName: "carts", Key: { id: { S: id } } }).Item;
  return { double, ask, written, item };
}

const key = { id: { S: "a" } };

describe("an item", () => {
  test("is set, counted up, and loses attributes by an update", () => {
    const { ask, item, written } = ground();
    const update = (UpdateExpression: string, values: object = {}, more: object = {}) =>
      ask("UpdateItem", {
        ...{ TableName: "carts", Key: key, UpdateExpression, ExpressionAttributeValues: values },
        ...{ ExpressionAttributeNames: { "#n": "n" }, ...more },
      });
    update("SET #n = :one, gone = :t", { ":one": { N: "1" }, ":t": { S: "x" } });
    update("SET #n = #n + :one, other = if_not_exists(other, :t) REMOVE gone", {
      ":one": { N: "1" },
      ":t": { S: "y" },
    });
    expect(item("a")).toEqual({ ...key, n: { N: "2" }, other: { S: "y" } });
    expect(update("ADD #n :one", { ":one": { N: "5" } }, { ReturnValues: "ALL_NEW" }).Attributes).toMatchObject({
      n: { N: "7" },
    });
    expect(written()).toEqual(["INSERT", "MODIFY", "MODIFY"]);
    expect(() => update("SET #n.deep = :one", { ":one": { N: "1" } })).toThrow(/not modelled/);
  });

  test("keeps an attribute that is called __proto__", () => {
    const { ask, item } = ground();
    const Item = JSON.parse('{"id":{"S":"a"},"__proto__":{"M":{"__proto__":{"S":"x"}}}}');
    ask("PutItem", { TableName: "carts", Item });
    expect(JSON.stringify(item("a"))).toBe(JSON.stringify(Item));
  });

  test("is refused without its key, by a condition, and above its size", () => {
    const { ask, written } = ground();
    const put = (Item: object, more: object = {}) => ask("PutItem", { TableName: "carts", Item, ...more });
    expect(() => put({ other: { S: "x" } })).toThrow(/Missing the key id/);
    expect(() => put({ id: { N: "1" } })).toThrow(/Type mismatch for key id/);
    expect(() => put({ ...key, text: { S: "x".repeat(420_000) } })).toThrow(/size/);
    put(key, { ConditionExpression: "attribute_not_exists(id)" });
    expect(() => put({ ...key, n: { N: "1" } }, { ConditionExpression: "attribute_not_exists(id)" })).toThrow(
      expect.objectContaining({ type: "ConditionalCheckFailedException" }),
    );
    expect(written()).toEqual(["INSERT"]);
  });
});

test.each([
  ["1.500", "1.5"],
  ["1E3", "1000"],
  ["-0.00", "0"],
  ["+007", "7"],
  ["123e-5", "0.00123"],
  ["1e-130", `0.${"0".repeat(129)}1`],
  ["12345678901234567890123456789012345678", "12345678901234567890123456789012345678"],
])("the number %s is written %s", (given, text) => {
  expect(normalNumber(given)).toBe(text);
});

test.each(["1e126", "1e-131", "123456789012345678901234567890123456789", "x", ""])(
  "the number %j is refused",
  (given) => {
    expect(() => normalNumber(given)).toThrow();
  },
);

test("a transaction is written whole, or not at all with the reasons", () => {
  const { ask, written, item } = ground();
  const Put = (id: string, more: object = {}) => ({ Put: { TableName: "carts", Item: { id: { S: id } }, ...more } });
  ask("TransactWriteItems", { TransactItems: [Put("a"), Put("b")] });
  const taken = { ConditionExpression: "attribute_not_exists(id)" };
  expect(() => ask("TransactWriteItems", { TransactItems: [Put("c"), Put("a", taken)] })).toThrow(
    expect.objectContaining({
      type: "TransactionCanceledException",
      more: { CancellationReasons: [{ Code: "None" }, expect.objectContaining({ Code: "ConditionalCheckFailed" })] },
    }),
  );
  expect(item("c")).toBeUndefined();
  expect(written()).toEqual(["INSERT", "INSERT"]);
});

test("segments of a scan hold each item once, in pages", () => {
  const { double, ask } = ground();
  for (let nth = 0; nth < 100; nth++) double.put("carts", { id: { S: `k${nth}` } });
  const found: string[] = [];
  for (let Segment = 0; Segment < 4; Segment++) {
    for (let after: unknown; ; ) {
      const input = { TableName: "carts", Segment, TotalSegments: 4, Limit: 7 };
      const page = ask("Scan", after === undefined ? input : { ...input, ExclusiveStartKey: after });
      found.push(...(page.Items as readonly { id: { S: string } }[]).map(({ id }) => id.S));
      after = page.LastEvaluatedKey;
      if (after === undefined) break;
    }
  }
  expect(found).toHaveLength(100);
  expect(new Set(found).size).toBe(100);
});

test("tables are listed in pages, described with their newest stream, and tagged", () => {
  const { double, ask } = ground();
  for (let nth = 0; nth < 101; nth++) double.createTable(`t${String(nth).padStart(3, "0")}`, { stream: false });
  const page = ask("ListTables", {});
  expect(page.TableNames).toHaveLength(100);
  expect(ask("ListTables", { ExclusiveStartTableName: page.LastEvaluatedTableName }).TableNames).toHaveLength(2);
  const table = ask("DescribeTable", { TableName: "carts" }).Table as Record<string, string>;
  expect(table).toMatchObject({ StreamSpecification: { StreamEnabled: true }, LatestStreamArn: expect.any(String) });
  ask("TagResource", { ResourceArn: table.TableArn, Tags: [{ Key: "cdc", Value: "yes" }] });
  expect(ask("ListTagsOfResource", { ResourceArn: table.TableArn }).Tags).toEqual([{ Key: "cdc", Value: "yes" }]);
  expect(ask("DescribeTable", { TableName: "t000" }).Table).not.toHaveProperty("LatestStreamArn");
  expect(() => ask("DescribeTable", { TableName: "none" })).toThrow(
    expect.objectContaining({ type: "ResourceNotFoundException" }),
  );
});
