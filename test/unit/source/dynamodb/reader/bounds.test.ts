// How much of DynamoDB's streams is held in memory, and what is told of a server that refuses.

import { describe, expect, test } from "vitest";
import type { HistoryLostError } from "../../../../../src/errors.ts";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { dynamoGround, keysOf } from "../../../../support/dynamodb/dynamo-ground.ts";

const MIB = 1024 * 1024;

describe("five hundred shards with full pages", () => {
  test("are held to eight megabytes, and a page of each of sixteen that were idle, however slowly it is pulled", async () => {
    const { server, until, read, time } = dynamoGround();
    server.roll("carts", 500);
    let served = 0;
    const { double } = server;
    const ask = double.ask.bind(double);
    double.ask = async (service, operation, input) => {
      const answer = await ask(service, operation, input);
      if (operation === "GetRecords" && (answer.Records as readonly unknown[]).length > 0)
        served += JSON.stringify(answer).length;
      return answer;
    };
    const { reading } = await read();
    reading.hold();
    const text = "x".repeat(100_000);
    for (let nth = 0; nth < 3_000; nth++) server.put("carts", `k${nth}`, text);
    await time.when(time.clock.sleep(60_000));
    // An idle shard counts as 64 KiB until its first full page has come: sixteen are asked at once.
    expect(served).toBeGreaterThan(6 * MIB);
    expect(served).toBeLessThan((8 + 16) * MIB);
    reading.goOn();
    await until(() => keysOf(reading).length === 3_000);
    await reading.stop();
  });
});

describe("a source", () => {
  test("whose shard is refused as throttled for a minute says so, until it is answered", async () => {
    const { server, until, read, time } = dynamoGround();
    const { source, reading } = await read();
    server.before = (operation) => {
      if (operation === "records") throw new ServerError("throttled", "too many");
    };
    await time.when(time.clock.sleep(30_000));
    expect(source.notices()).toEqual([]);
    await until(() => source.notices().some(({ code }) => code === "SOURCE_THROTTLED"));
    expect(reading.over).toBe(false);
    server.before = () => {};
    await until(() => source.notices().length === 0);
    await reading.stop();
  });

  test("whose server takes no number of a shard says so once, and reads its oldest record", async () => {
    const { server, until, read } = dynamoGround();
    const { double } = server;
    const ask = double.ask.bind(double);
    double.ask = async (service, operation, input) => {
      if (operation === "GetShardIterator" && input.ShardIteratorType === "AT_SEQUENCE_NUMBER")
        throw new ServerError("invalid", "no such number");
      return ask(service, operation, input);
    };
    const { source, reading } = await read();
    server.put("carts", "a");
    server.roll("carts", 3);
    server.put("carts", "b");
    await until(() => keysOf(reading).length === 2);
    expect(source.notices().map(({ code }) => code)).toEqual(["TRIM_UNSEEN"]);
    await reading.stop();
  });

  test("whose server fails five times in a row goes on where it was", async () => {
    const { server, until, read, time } = dynamoGround();
    const { reading } = await read();
    let left = 5;
    server.before = (operation) => {
      if (operation === "records" && left-- > 0) throw new ServerError("failed", "a fault");
    };
    server.put("carts", "a");
    await until(() => keysOf(reading).length === 1);
    await time.when(time.clock.sleep(1_000));
    expect([reading.over, keysOf(reading)]).toEqual([false, ["a"]]);
    await reading.stop();
  });

  test("of twenty tables that all lost something is read again within seconds, behind one loss", async () => {
    const tables = Array.from({ length: 20 }, (_, nth) => `t${nth}`);
    const { server, until, read, time } = dynamoGround({ tables: ["t*"] });
    for (const table of tables) server.createTable(table);
    const first = await read();
    for (const table of tables) server.put(table, "a");
    await until(() => keysOf(first.reading).length === tables.length);
    await first.reading.stop();
    for (const table of tables) {
      server.put(table, "lost");
      server.trim(table);
      server.put(table, "behind");
    }
    const second = await read(first.reading.reached);
    const error = await time.when(second.reading.ended);
    const since = time.clock.now();
    await time.when(second.source.giveUp(error as HistoryLostError));
    const { reading } = await read(first.reading.reached);
    await until(() => keysOf(reading).length === tables.length);
    // It asks for each table's stream at 125 ms: when it is opened, and when it is read.
    expect(time.clock.now() - since).toBeLessThan(8_000);
    expect(reading.messages.filter((one) => one.type === "began" && one.lost)).toHaveLength(tables.length);
    await reading.stop();
  });
});

test("Two sources of one account ask for shards ten times a second together", async () => {
  const tables = Array.from({ length: 12 }, (_, nth) => `t${nth}`);
  const ground = dynamoGround({ tables: ["t*"] });
  const { server, time } = ground;
  for (const table of tables) server.createTable(table);
  const askedAt: number[] = [];
  server.before = (operation) => {
    if (operation === "describeStream") askedAt.push(time.clock.now());
  };
  const both = await Promise.all([ground.read(), ground.read()]);
  await time.when(time.clock.sleep(5_000));
  for (const { reading } of both) await reading.stop();
  const rests = askedAt.map((at, nth) => at - (askedAt[nth - 1] ?? Number.NEGATIVE_INFINITY));
  expect(askedAt.length).toBeGreaterThan(70);
  expect(Math.min(...rests)).toBeGreaterThanOrEqual(100);
});
