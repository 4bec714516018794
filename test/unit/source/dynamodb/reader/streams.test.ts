// A source over a DynamoDB that a test writes down, in virtual time: the life of shards, and what a server refuses.

import { describe, expect, test } from "vitest";
import { HistoryLostError, TransientError } from "../../../../../src/errors.ts";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { dynamoGround, keysOf, shardsOf } from "../../../../support/dynamodb/dynamo-ground.ts";
import type { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";

describe("shards that", () => {
  test.each([true, false])("roll are read one behind the other, closing with records: %s", async (withRecords) => {
    const { server, until, read } = dynamoGround();
    server.closesWithRecords = withRecords;
    const { reading } = await read();
    for (let nth = 0; nth < 4; nth++) {
      server.put("carts", `k${nth}`);
      server.roll("carts");
    }
    server.put("carts", "last");
    await until(() => keysOf(reading).length === 5);
    expect(keysOf(reading)).toEqual(["k0", "k1", "k2", "k3", "last"]);
    const markers = shardsOf(reading);
    for (const [nth, marker] of markers.entries())
      if (nth > 0) expect(marker.endsWith("begins")).toBe(markers[nth - 1]?.endsWith("ends"));
    await reading.stop();
  });

  test.each([true, false])(
    "end are told of behind the last of their records, closing with records: %s",
    async (withRecords) => {
      const { server, until, read } = dynamoGround();
      server.closesWithRecords = withRecords;
      const { reading } = await read();
      for (const key of ["a", "b"]) server.put("carts", key);
      server.roll("carts");
      server.put("carts", "c");
      await until(() => keysOf(reading).length === 3);
      const told = reading.messages.flatMap((message) => {
        if (message.type === "change") return [message.key];
        return message.type === "marker" ? [JSON.parse(Buffer.from(message.data).toString()).state] : [];
      });
      expect(told).toEqual(["begins", "a", "b", "ends", "begins", "c"]);
      await reading.stop();
    },
  );

  test.each([true, false])("split are read behind their parent, by a server that knows children: %s", async (knows) => {
    const { server, until, read } = dynamoGround();
    server.knowsChildren = knows;
    server.pageShards = 2;
    const { reading } = await read();
    server.put("carts", "a");
    server.roll("carts", 4);
    for (const key of ["b", "c", "d", "e", "f", "g"]) server.put("carts", key);
    await until(() => keysOf(reading).length === 7);
    expect(keysOf(reading)[0]).toBe("a");
    await reading.stop();
  });

  test("lived and died while nobody read are read in their order, and again from anywhere", async () => {
    const { server, until, read } = dynamoGround();
    const first = await read();
    server.put("carts", "a");
    await until(() => keysOf(first.reading).length === 1);
    await first.reading.stop();
    const from = first.reading.reached;
    for (const key of ["b", "c", "d"]) {
      server.roll("carts");
      server.put("carts", key);
    }
    const { reading } = await read(from);
    await until(() => keysOf(reading).length === 3);
    expect(keysOf(reading)).toEqual(["b", "c", "d"]);
    await reading.stop();
  });
});

describe("an answer", () => {
  test("that the iterator has expired is followed by another iterator, and nothing is missing or double", async () => {
    const { server, until, read, time } = dynamoGround();
    const { reading } = await read();
    server.put("carts", "a");
    await until(() => keysOf(reading).length === 1);
    time.clock.advance(16 * 60_000);
    server.put("carts", "b");
    await until(() => keysOf(reading).length === 2);
    expect(keysOf(reading)).toEqual(["a", "b"]);
    await reading.stop();
  });

  test("that it is throttled is waited out, however long", async () => {
    const { server, until, read, time } = dynamoGround();
    const { reading } = await read();
    server.before = () => {
      throw new ServerError("throttled", "too many");
    };
    server.put("carts", "a");
    await time.when(time.clock.sleep(10 * 60_000));
    expect(reading.over).toBe(false);
    server.before = () => {};
    await until(() => keysOf(reading).length === 1);
    await reading.stop();
  });

  test("of a server that fails again and again ends the reading", async () => {
    const { server, read, time } = dynamoGround();
    const { reading } = await read();
    server.before = () => {
      throw new ServerError("failed", "a fault");
    };
    expect(await time.when(reading.ended)).toBeInstanceOf(TransientError);
  });
});

describe("what can never come", () => {
  const lose = async (change: (server: ScriptedDynamo) => void) => {
    const { server, until, read, time } = dynamoGround();
    const first = await read();
    server.put("carts", "a");
    await until(() => keysOf(first.reading).length === 1);
    await first.reading.stop();
    const from = first.reading.reached;
    server.put("carts", "lost");
    change(server);
    const second = await read(from);
    const error = await time.when(second.reading.ended);
    if (!(error instanceof HistoryLostError)) throw error;
    await time.when(second.source.giveUp(error));
    const { reading } = await read(second.reading.reached ?? from);
    server.put("carts", "behind");
    await until(() => keysOf(reading).includes("behind"));
    await reading.stop();
    const gaps = reading.messages.flatMap((message) => (message.type === "began" && message.lost ? [message] : []));
    return { code: error.code, gaps, keys: keysOf(reading) };
  };

  test("of an open shard is a gap behind what was read, and what is left comes", async () => {
    const { code, gaps, keys } = await lose((server) => server.trim("carts"));
    expect([code, keys]).toEqual(["SHARD_TRIMMED", ["behind"]]);
    expect(gaps).toMatchObject([{ lost: { details: { table: "carts", shard: expect.stringMatching(/^shardId-/) } } }]);
  });

  test("of a shard that is gone is a gap, and its children are read", async () => {
    const { code, gaps, keys } = await lose((server) => {
      server.roll("carts");
      server.trim("carts", true);
    });
    expect([code, keys, gaps.length]).toEqual(["SHARD_EXPIRED", ["behind"], 1]);
  });

  test("between a stream that was switched off and the next one is a gap with both labels, behind all of the first", async () => {
    const { time, server, until, read } = dynamoGround();
    const { reading, source } = await read();
    server.put("carts", "a");
    server.disable("carts");
    server.enable("carts");
    server.put("carts", "b");
    const error = await time.when(reading.ended);
    expect(error).toMatchObject({ code: "STREAM_REPLACED" });
    expect(keysOf(reading)).toEqual(["a"]);
    await time.when(source.giveUp(error as HistoryLostError));
    const next = await read(reading.reached);
    await until(() => keysOf(next.reading).length === 1);
    expect(keysOf(next.reading)).toEqual(["b"]);
    const lost = next.reading.messages.flatMap((message) => (message.type === "began" ? (message.lost ?? []) : []));
    const labels = { stream: expect.stringMatching(/001$/), next: expect.stringMatching(/002$/) };
    expect(lost).toMatchObject([{ details: { table: "carts", ...labels } }]);
    await next.reading.stop();
  });
});

test("a first start from now leaves out what was written long before, and has what is written once it is on record", async () => {
  const { server, until, read, time } = dynamoGround();
  server.put("carts", "old");
  await time.when(time.clock.sleep(5 * 60_000));
  const { reading } = await read();
  await reading.stop(); // before anything was stored
  server.put("carts", "a");
  await time.when(time.clock.sleep(60 * 60_000));
  const again = await read();
  await until(() => keysOf(again.reading).length === 1);
  expect(keysOf(again.reading)).toEqual(["a"]);
  await again.reading.stop();
});

test("a first start from the earliest has all that the stream holds", async () => {
  const { server, until, read, time } = dynamoGround({ start: "earliest" });
  server.put("carts", "old");
  server.roll("carts");
  server.put("carts", "older");
  await time.when(time.clock.sleep(5 * 60_000));
  const { reading } = await read();
  await until(() => keysOf(reading).length === 2);
  expect(keysOf(reading)).toEqual(["old", "older"]);
  await reading.stop();
});
