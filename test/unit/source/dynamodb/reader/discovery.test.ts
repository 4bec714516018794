// How the shards of DynamoDB's streams are found, however their listing comes.

import { describe, expect, test } from "vitest";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { dynamoGround, keysOf } from "../../../../support/dynamodb/dynamo-ground.ts";
import type { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";

const letters = (count: number): readonly string[] => Array.from({ length: count }, (_, nth) => `k${nth}`);

/** Ids of the children of what was open. */
function childrenOf(server: ScriptedDynamo): readonly string[] {
  const { shards } = server.streamOf("carts");
  return shards.filter(({ isOpen }) => isOpen).map(({ id }) => id);
}

describe("children", () => {
  test("of which one is listed long after the other was read are both read", async () => {
    const { server, until, read, time } = dynamoGround();
    const { reading } = await read();
    server.put("carts", "a");
    server.double.life.roll("carts", { children: 2, unlisted: true });
    const [first, second] = childrenOf(server);
    for (const key of letters(12)) server.put("carts", key);
    server.double.life.list("carts", first);
    await until(() => keysOf(reading).length > 2);
    const read1 = keysOf(reading).length;
    await time.when(time.clock.sleep(30_000));
    expect(keysOf(reading)).toHaveLength(read1);
    server.double.life.list("carts", second);
    await until(() => keysOf(reading).length === 13);
    expect(keysOf(reading)[0]).toBe("a");
    await reading.stop();
  });

  test("that are listed minutes after their parent's end are found, by few questions", async () => {
    const { server, until, read, time } = dynamoGround();
    const { reading } = await read();
    server.double.life.roll("carts", { unlisted: true });
    server.put("carts", "a");
    await time.when(time.clock.sleep(10 * 60_000));
    expect([reading.over, keysOf(reading)]).toEqual([false, []]);
    expect(server.asked.get("describeStream")).toBeLessThan(100);
    server.double.life.list("carts");
    await until(() => keysOf(reading).length === 1);
    await reading.stop();
  });

  test("of two hundred shards that end together are found by a few listings", async () => {
    const { server, until, read } = dynamoGround();
    server.roll("carts", 200);
    const { reading } = await read();
    server.put("carts", "a");
    await until(() => keysOf(reading).length === 1);
    server.asked.clear();
    server.roll("carts");
    server.put("carts", "b");
    await until(() => keysOf(reading).length === 2);
    expect(server.asked.get("describeStream")).toBeLessThan(60);
    await reading.stop();
  });

  test("that a listing names before their parent are read behind it", async () => {
    const { server, until, read } = dynamoGround();
    const { reading } = await read();
    server.put("carts", "a");
    await until(() => keysOf(reading).length === 1);
    await reading.stop();
    const from = reading.reached;
    server.put("carts", "b");
    server.roll("carts");
    server.put("carts", "c");
    server.streamOf("carts").shards.reverse();
    const again = await read(from);
    await until(() => keysOf(again.reading).length === 2);
    expect(keysOf(again.reading)).toEqual(["b", "c"]);
    await again.reading.stop();
  });

  test("of a shard that was never listed wait until it is, and it was read", async () => {
    const { server, until, read, time } = dynamoGround();
    const { reading } = await read();
    server.double.life.roll("carts", { unlisted: true });
    const [middle] = childrenOf(server);
    server.put("carts", "a");
    server.double.life.roll("carts", {});
    server.put("carts", "b");
    // The youngest is listed alone for one listing: its parent comes with the next one.
    let left = 1;
    server.before = (operation) => {
      if (operation === "describeStream" && reading.started && left-- === 0) server.double.life.list("carts", middle);
    };
    await until(() => keysOf(reading).length === 2);
    expect(keysOf(reading)).toEqual(["a", "b"]);
    await reading.stop();
    await time.when(time.clock.sleep(0));
  });
});

describe("a listing of three hundred shards", () => {
  test.each([
    ["fails", "failed" as const],
    ["is not known", "unknown" as const],
    ["is refused", "throttled" as const],
  ])("of which a page in the middle %s is taken again, and no shard of it for lost", async (_, refusal) => {
    const { server, until, read } = dynamoGround();
    server.roll("carts", 300);
    const first = await read();
    const keys = letters(40);
    for (const key of keys) server.put("carts", key);
    await until(() => keysOf(first.reading).length === keys.length);
    await first.reading.stop();
    let asked = 0;
    server.before = (operation) => {
      if (operation === "describeStream" && [3, 5].includes(++asked)) throw new ServerError(refusal, "this page");
    };
    const { reading } = await read(first.reading.reached);
    for (const key of keys) server.put("carts", `${key}-more`);
    await until(() => keysOf(reading).length === keys.length);
    expect(asked).toBeGreaterThan(6);
    expect(reading.over).toBe(false);
    await reading.stop();
  });
});

test("The newest records alone are never asked for", async () => {
  const { server, until, read } = dynamoGround();
  const { reading } = await read();
  const types: string[] = [];
  const { double } = server;
  const ask = double.ask.bind(double);
  double.ask = async (service, operation, input) => {
    if (operation === "GetShardIterator") types.push(String(input.ShardIteratorType));
    return ask(service, operation, input);
  };
  server.put("carts", "a");
  server.roll("carts", 2);
  server.put("carts", "b");
  await until(() => keysOf(reading).length === 2);
  await reading.stop();
  const again = await read(reading.reached);
  await until(() => types.length >= 3);
  await again.reading.stop();
  expect(types).not.toContain("LATEST");
});

describe("a table that comes while others are read", () => {
  test("joins the reading, which goes on, from the beginning of its stream, and is on record first", async () => {
    const { server, memory, until, read } = dynamoGround({ tables: ["carts", "or*"] });
    const { reading } = await read();
    server.createTable("orders");
    server.put("orders", "a");
    await until(() => keysOf(reading).length === 1);
    expect(reading.over).toBe(false);
    expect(JSON.stringify(memory.value)).toContain("table/orders/stream");
    const began = reading.messages.filter(({ type }) => type === "began");
    expect(began.map((one) => ("details" in one ? one.details.table : ""))).toEqual(["carts", "orders"]);
    await reading.stop();
    const again = await read(reading.reached);
    server.put("orders", "b");
    await until(() => keysOf(again.reading).length === 1);
    expect(keysOf(again.reading)).toEqual(["b"]);
    await again.reading.stop();
  });

  test("is told of while it has no stream, and joins once it has", async () => {
    const { server, until, read } = dynamoGround({ tables: ["carts", "or*"] });
    const { reading, source } = await read();
    server.createTable("orders", { stream: false });
    await until(() => source.notices().some(({ code }) => code === "STREAM_DISABLED"));
    server.enable("orders");
    server.put("orders", "a");
    await until(() => keysOf(reading).length === 1);
    await until(() => source.notices().length === 0);
    expect(reading.over).toBe(false);
    await reading.stop();
  });
});

test("A table that the configuration no longer names is not read, and goes on where it was once it is named again", async () => {
  const ground = dynamoGround({ tables: ["carts", "orders"] });
  const { server, until } = ground;
  server.createTable("orders");
  const { reading } = await ground.read();
  for (const table of ["carts", "orders"]) server.put(table, `${table}-a`);
  await until(() => keysOf(reading).length === 2);
  await reading.stop();
  for (const table of ["carts", "orders"]) server.put(table, `${table}-b`);
  const without = await ground.read(reading.reached, { tables: ["carts"] });
  await until(() => keysOf(without.reading).length === 1);
  await without.reading.stop();
  expect(keysOf(without.reading)).toEqual(["carts-b"]);
  const again = await ground.read(reading.reached);
  await until(() => keysOf(again.reading).length === 2);
  await again.reading.stop();
  expect(keysOf(again.reading).toSorted()).toEqual(["carts-b", "orders-b"]);
});
