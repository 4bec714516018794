// Our double of DynamoDB Streams: shards, records and iterators, by a clock that the test moves.

import { describe, expect, test } from "vitest";
import { DynamoDouble, type DynamoDoubleOptions } from "../../../../src/dev/dynamodb/dynamo-double.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

interface Page {
  readonly Records: readonly {
    readonly eventName: string;
    readonly userIdentity?: object;
    readonly dynamodb: { readonly SequenceNumber: string; readonly [image: string]: unknown };
  }[];
  readonly NextShardIterator?: string;
}
interface ListedShard {
  readonly ShardId: string;
  readonly ParentShardId?: string;
  readonly SequenceNumberRange: { readonly StartingSequenceNumber: string; readonly EndingSequenceNumber?: string };
}

function ground(options: DynamoDoubleOptions = {}) {
  const clock = new VirtualClock();
  const double = new DynamoDouble({ clock, ...options });
  const streams = <T>(operation: string, input: object): T =>
    double.answer("DynamoDBStreams_20120810", operation, input as never) as T;
  double.createTable("carts");
  const arn = (): string => double.state.table("carts").stream?.arn ?? "";
  const describe = (more: object = {}) =>
    streams<{
      StreamDescription: { Shards: readonly ListedShard[]; LastEvaluatedShardId?: string; StreamStatus: string };
    }>("DescribeStream", { StreamArn: arn(), ...more }).StreamDescription;
  const iterator = (ShardId: string, more: object = { ShardIteratorType: "TRIM_HORIZON" }): string =>
    streams<{ ShardIterator: string }>("GetShardIterator", { StreamArn: arn(), ShardId, ...more }).ShardIterator;
  const records = (ShardIterator: string, more: object = {}): Page => streams("GetRecords", { ShardIterator, ...more });
  const put = (id: string, more: object = {}): void => double.put("carts", { id: { S: id }, ...more });
  const first = (): string => describe().Shards[0]?.ShardId ?? "";
  return { clock, double, arn, describe, iterator, records, put, first };
}

function keysOf({ Records }: Page): readonly unknown[] {
  return Records.map(({ dynamodb }) => (dynamodb.Keys as { id: { S: string } }).id.S);
}

describe("records", () => {
  test("are made of writes that change something, with the images of the view type", () => {
    const { double, records, iterator, put, first } = ground();
    put("a", { n: { N: "1.50" }, tags: { SS: ["x", "y"] } });
    put("a", { tags: { SS: ["y", "x"] }, n: { N: "15E-1" } });
    put("a", { n: { N: "2" } });
    double.answer("DynamoDB_20120810", "DeleteItem", { TableName: "carts", Key: { id: { S: "a" } } });
    double.answer("DynamoDB_20120810", "DeleteItem", { TableName: "carts", Key: { id: { S: "a" } } });
    const { Records } = records(iterator(first()));
    expect(Records.map(({ eventName }) => eventName)).toEqual(["INSERT", "MODIFY", "REMOVE"]);
    expect(Records[1]?.dynamodb).toMatchObject({
      OldImage: { n: { N: "1.5" }, tags: { SS: ["x", "y"] } },
      NewImage: { id: { S: "a" }, n: { N: "2" } },
      StreamViewType: "NEW_AND_OLD_IMAGES",
    });
    expect(Records[2]?.dynamodb).not.toHaveProperty("NewImage");
  });

  test("of a delete by Time to Live say who deleted", () => {
    const { double, records, iterator, put, first, clock } = ground();
    const TimeToLiveSpecification = { Enabled: true, AttributeName: "until" };
    double.answer("DynamoDB_20120810", "UpdateTimeToLive", { TableName: "carts", TimeToLiveSpecification });
    put("over", { until: { N: "60" } });
    put("stays", { until: { N: "6000" } });
    put("stays too");
    clock.advance(61_000);
    double.life.expire("carts");
    const removed = records(iterator(first())).Records.filter(({ eventName }) => eventName === "REMOVE");
    expect(removed).toMatchObject([
      {
        userIdentity: { PrincipalId: "dynamodb.amazonaws.com", Type: "Service" },
        dynamodb: { Keys: { id: { S: "over" } } },
      },
    ]);
  });

  test("have times in whole seconds, and numbers that grow longer on demand", () => {
    const { double, records, iterator, put, first, clock } = ground();
    clock.advance(1999);
    put("a");
    double.state.lengthenNumbers(40);
    put("b");
    const { Records } = records(iterator(first()));
    expect(Records.map(({ dynamodb }) => dynamodb.SequenceNumber.length)).toEqual([21, 40]);
    expect(Records[0]?.dynamodb.ApproximateCreationDateTime).toBe(1);
  });

  test("come in pages of at most a thousand and a megabyte, of at least one", () => {
    const { records, iterator, put, first } = ground();
    for (let nth = 0; nth < 1001; nth++) put(`k${nth}`);
    const page = records(iterator(first()));
    expect(page.Records).toHaveLength(1000);
    expect(records(page.NextShardIterator ?? "").Records).toHaveLength(1);
    for (let nth = 0; nth < 4; nth++) put(`large${nth}`, { text: { S: "x".repeat(390_000) } });
    expect(records(iterator(first(), { ShardIteratorType: "LATEST" })).Records).toHaveLength(0);
    const number = records(page.NextShardIterator ?? "").Records[0]?.dynamodb.SequenceNumber;
    const behind = iterator(first(), { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: number });
    expect(records(behind).Records).toHaveLength(2);
    expect(records(behind, { Limit: 1 }).Records).toHaveLength(1);
  });
});

describe("a shard that", () => {
  test.each([true, false])(
    "is closed ends with a page without an iterator; with its last records: %s",
    (withRecords) => {
      const { double, records, iterator, put, first } = ground({ closesWithRecords: withRecords });
      const shard = first();
      put("a");
      double.life.roll("carts");
      const page = records(iterator(shard));
      expect(keysOf(page)).toEqual(["a"]);
      expect(page.NextShardIterator === undefined).toBe(withRecords);
      if (page.NextShardIterator !== undefined) expect(records(page.NextShardIterator)).toEqual({ Records: [] });
    },
  );

  test("is split hands its keys to its children, each key to one of them, also over more splits", () => {
    const { double, describe, iterator, records, put, first } = ground();
    const parent = first();
    double.life.roll("carts", { children: 3 });
    for (let nth = 0; nth < 60; nth++) put(`k${nth}`);
    double.life.roll("carts", { children: 2 });
    for (let nth = 0; nth < 60; nth++) put(`k${nth}`, { again: { BOOL: true } });
    const children = describe({ ShardFilter: { Type: "CHILD_SHARDS", ShardId: parent } }).Shards;
    expect(children).toHaveLength(3);
    for (const { ShardId, SequenceNumberRange } of children) {
      expect(SequenceNumberRange.EndingSequenceNumber).toBeDefined();
      const before = new Set(keysOf(records(iterator(ShardId))));
      const grandchildren = describe({ ShardFilter: { Type: "CHILD_SHARDS", ShardId } }).Shards;
      const after = grandchildren.flatMap((shard) => keysOf(records(iterator(shard.ShardId))));
      expect(new Set(after)).toEqual(before);
      expect(after).toHaveLength(before.size);
    }
  });

  test("is not listed yet is in no listing, and is in all of them afterwards", () => {
    const { double, describe, first } = ground();
    const parent = first();
    double.life.roll("carts", { children: 2, unlisted: true });
    expect(describe().Shards).toHaveLength(1);
    double.life.list("carts");
    expect(describe().Shards.filter(({ ParentShardId }) => ParentShardId === parent)).toHaveLength(2);
  });

  test("is trimmed refuses numbers that are gone, and iterators of before; what came behind the newest is there", () => {
    const { double, iterator, records, put, first } = ground();
    const before = iterator(first());
    put("a");
    put("b");
    const [a, b] = records(before).Records.map(({ dynamodb }) => dynamodb.SequenceNumber);
    double.life.trim("carts");
    put("c");
    const refusal = expect.objectContaining({ type: "TrimmedDataAccessException" });
    expect(() => records(before)).toThrow(refusal);
    for (const [ShardIteratorType, SequenceNumber] of [
      ["AT_SEQUENCE_NUMBER", b],
      ["AFTER_SEQUENCE_NUMBER", a],
    ])
      expect(() => iterator(first(), { ShardIteratorType, SequenceNumber })).toThrow(refusal);
    const behind = { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: b };
    for (const more of [undefined, behind]) expect(keysOf(records(iterator(first(), more)))).toEqual(["c"]);
  });

  test("is closed is gone after a day, and so is what an open one has of then", () => {
    const { double, describe, iterator, records, put, first, clock } = ground();
    const old = first();
    put("a");
    double.life.roll("carts");
    put("b");
    clock.advance(12 * 3600_000);
    put("c");
    clock.advance(12 * 3600_000 + 1);
    expect(describe().Shards.map(({ ParentShardId }) => ParentShardId)).toEqual([old]);
    expect(keysOf(records(iterator(first())))).toEqual(["c"]);
    expect(() => iterator(old)).toThrow(expect.objectContaining({ type: "ResourceNotFoundException" }));
  });
});

test("an iterator expires after fifteen minutes", () => {
  const { iterator, records, first, clock } = ground();
  const one = iterator(first());
  clock.advance(15 * 60_000);
  expect(records(one).Records).toEqual([]);
  clock.advance(1);
  expect(() => records(one)).toThrow(expect.objectContaining({ type: "ExpiredIteratorException" }));
});

test("shards are listed in pages of a hundred", () => {
  const { double, describe } = ground();
  double.life.roll("carts", { children: 150 });
  const page = describe();
  expect(page.Shards).toHaveLength(100);
  const next = describe({ ExclusiveStartShardId: page.LastEvaluatedShardId });
  expect(next.Shards).toHaveLength(51);
  expect(next.LastEvaluatedShardId).toBeUndefined();
});

test("a stream that is switched off and on has another ARN, and the first can be read for a day", () => {
  const { double, describe, iterator, records, put, first, arn, clock } = ground();
  const [old, shard] = [arn(), first()];
  put("a");
  double.life.disable("carts");
  put("into none");
  expect(describe().StreamStatus).toBe("DISABLED");
  expect(records(iterator(shard)).NextShardIterator).toBeUndefined();
  clock.advance(10);
  double.life.enable("carts");
  put("b");
  expect(arn()).not.toBe(old);
  expect(keysOf(records(iterator(first())))).toEqual(["b"]);
  const streams = double.answer("DynamoDBStreams_20120810", "ListStreams", { TableName: "carts" });
  expect(streams.Streams).toHaveLength(2);
  clock.advance(25 * 3600_000);
  expect(() => double.answer("DynamoDBStreams_20120810", "DescribeStream", { StreamArn: old })).toThrow(
    expect.objectContaining({ type: "ResourceNotFoundException" }),
  );
});

test("what is held is seen by nobody until it is released", () => {
  const { double, iterator, records, put, first, clock } = ground();
  put("a");
  clock.advance(1);
  double.life.hold("carts");
  put("b");
  expect(keysOf(records(iterator(first())))).toEqual(["a"]);
  double.life.release("carts");
  expect(keysOf(records(iterator(first())))).toEqual(["a", "b"]);
});

test("the documented rates are held where that is asked for", async () => {
  const { double, iterator, first, clock } = ground({ holdsRates: true });
  const ask = () => double.ask("DynamoDBStreams_20120810", "GetRecords", { ShardIterator: iterator(first()) });
  for (let nth = 0; nth < 5; nth++) await ask();
  await expect(ask()).rejects.toMatchObject({ type: "ProvisionedThroughputExceededException" });
  clock.advance(1000);
  await ask();
});
