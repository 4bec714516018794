// What of DynamoDB's streams can never come, over a server that a test writes down: what is told of it, and what is read behind it.

import { describe, expect, test } from "vitest";
import { HistoryLostError } from "../../../../../src/errors.ts";
import { laterPositions, type Positions } from "../../../../../src/event/positions.ts";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { parsePartition } from "../../../../../src/source/dynamodb/client/partition.ts";
import { readRecord } from "../../../../../src/source/dynamodb/stream-record.ts";
import type { SourceReading } from "../../../../contract/source/source-reading.ts";
import { dynamoGround, keysOf } from "../../../../support/dynamodb/dynamo-ground.ts";

type Ground = ReturnType<typeof dynamoGround>;

/** Reads until this is so; gives up what is lost meanwhile, and reads behind it. */
async function readOn(
  { time, until, read }: Ground,
  from: Positions | undefined,
  isEnough: (keys: readonly string[]) => boolean,
) {
  const keys: string[] = [];
  const losses: HistoryLostError[] = [];
  let reached = from;
  for (;;) {
    const { reading, source } = await read(reached);
    await until(() => reading.over || isEnough([...keys, ...keysOf(reading)]));
    keys.push(...keysOf(reading));
    reached = laterPositions(reached, reading.reached);
    if (!reading.over) {
      await reading.stop();
      return { keys, losses, gaps: gapsOf(reading), reached };
    }
    const error = await time.when(reading.ended);
    if (!(error instanceof HistoryLostError)) throw error;
    losses.push(error);
    await time.when(source.giveUp(error));
  }
}

function gapsOf(reading: SourceReading) {
  return reading.messages.flatMap((message) =>
    message.type === "began" && message.lost ? [{ ...message, lost: message.lost }] : [],
  );
}

/** What the gaps name, last letters alone. */
function namedBy(reading: { readonly gaps: ReturnType<typeof gapsOf> }): readonly string[] {
  return reading.gaps.map(({ lost }) => String(lost.details.shard).slice(-1)).sort();
}

/** Reads what there is, and stops. */
async function begun(ground: Ground, keys: readonly string[] = ["a"]) {
  const first = await ground.read();
  for (const key of keys) ground.server.put("carts", key);
  await ground.until(() => keysOf(first.reading).length === keys.length);
  await first.reading.stop();
  return first.reading.reached;
}

describe("what is lost at a start", () => {
  test("of many shards is one loss, with a gap for each", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    server.roll("carts", 6);
    const keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    const from = await begun(ground, keys);
    for (const key of keys) server.put("carts", `${key}-lost`);
    const isLost = (record: unknown): boolean => JSON.stringify(record).includes("-lost");
    const unread = server
      .streamOf("carts")
      .shards.filter(({ records }) => records.some(isLost) && !records.every(isLost));
    expect(unread.length).toBeGreaterThan(2);
    server.trim("carts");
    for (const key of keys) server.put("carts", `${key}-behind`);
    const result = await readOn(ground, from, (read) => read.length === keys.length);
    expect(result.keys.toSorted()).toEqual(keys.map((key) => `${key}-behind`));
    expect([result.losses.length, result.gaps.length]).toEqual([1, unread.length]);
  });

  test("of a shard that lost once more before anything behind its first loss was stored is told once more", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    for (const key of ["b", "c", "d"]) server.put("carts", key);
    server.trim("carts", false, 2);
    const { reading, source } = await ground.read(from);
    await ground.time.when(source.giveUp((await ground.time.when(reading.ended)) as HistoryLostError));
    const [first] = gapsOf((await stopped(ground, from)).reading);
    server.trim("carts", false, 1);
    const result = await readOn(ground, from, (read) => read.length === 1);
    expect([result.keys, result.losses.length]).toEqual([["d"], 1]);
    expect(result.gaps).toHaveLength(1);
    expect(String(result.gaps[0]?.position) > String(first?.position)).toBe(true);
  });

  test("of a shard that lost all, and then was gone, is told twice", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    server.put("carts", "b");
    server.trim("carts");
    const { reading, source } = await ground.read(from);
    await ground.time.when(source.giveUp((await ground.time.when(reading.ended)) as HistoryLostError));
    const [first] = gapsOf((await stopped(ground, from)).reading);
    server.put("carts", "c");
    server.roll("carts");
    server.put("carts", "d");
    server.trim("carts", true, 1);
    const result = await readOn(ground, from, (read) => read.length === 1);
    expect(result.keys).toEqual(["d"]);
    expect(String(result.gaps[0]?.position) > String(first?.position)).toBe(true);
  });

  test("of a shard whose parent was never read is named with its parent, and not before that is on record", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    server.roll("carts");
    const killed = await ground.read(from);
    await ground.until(() => killed.reading.messages.length >= 3);
    await killed.reading.stop();
    const [, second] = server.streamOf("carts").shards;
    server.put("carts", "b");
    server.roll("carts");
    server.put("carts", "c");
    server.trim("carts", true, 1);
    // Found, and killed before it was on record.
    const found = await ground.read(from);
    expect(await ground.time.when(found.reading.ended)).toMatchObject({ code: "SHARD_EXPIRED" });
    expect(keysOf(found.reading)).toEqual([]);
    const result = await readOn(ground, laterPositions(from, found.reading.reached), (read) => read.length === 1);
    expect(result.keys).toEqual(["c"]);
    expect(namedBy(result)).toContain(second?.id.slice(-1));
  });
});

async function stopped(ground: Ground, from: Positions | undefined) {
  const { reading, source } = await ground.read(from);
  await reading.stop();
  return { reading, source };
}

describe("a stream", () => {
  test("that was switched off and on twice while nobody read is followed by both others, each behind a gap", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    for (const key of ["b", "c", "d"]) {
      server.put("carts", key);
      if (key === "d") break;
      server.disable("carts");
      server.enable("carts");
    }
    const result = await readOn(ground, from, (read) => read.length === 3);
    expect(result.keys).toEqual(["b", "c", "d"]);
    expect(result.losses.map(({ code }) => code)).toEqual(["STREAM_REPLACED", "STREAM_REPLACED"]);
    expect(result.gaps.map(({ lost }) => [lost.details.stream, lost.details.next])).toEqual([
      ["2026-01-01T00:00:00.001", "2026-01-01T00:00:00.002"],
      ["2026-01-01T00:00:00.002", "2026-01-01T00:00:00.003"],
    ]);
  });

  test("that was followed by another one is read again as far as it was not stored, and before the other one", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    server.put("carts", "b");
    server.disable("carts");
    server.enable("carts");
    server.put("carts", "c");
    const { keys, reached } = await readOn(ground, from, (read) => read.length === 2);
    const again = await readOn(ground, from, (read) => read.length === 2); // killed before it was stored
    expect([keys, again.keys, again.losses]).toEqual([["b", "c"], ["b", "c"], []]);
    expect((await readOn(ground, reached, () => true)).keys).toEqual([]);
  });

  test("that was followed by another one leaves the record, once its end is acknowledged", async () => {
    const ground = dynamoGround();
    const { server, time, memory } = ground;
    const from = await begun(ground);
    const old = server.streamOf("carts").label;
    server.put("carts", "b");
    server.disable("carts");
    server.enable("carts");
    server.put("carts", "c");
    const { reached = new Map() } = await readOn(ground, from, (read) => read.length === 2);
    const labels = () => Object.values(readRecord(memory.value)?.streams ?? {}).map(({ label }) => label);
    expect(labels()).toContain(old);
    const { reading, source } = await ground.read(reached);
    await time.when(source.acknowledge(reached));
    await ground.until(() => reading.messages.some(({ type }) => type === "ended"));
    expect(labels()).toContain(old);
    const rest = new Map([...reached].filter(([partition]) => parsePartition(partition).label !== old));
    await time.when(source.acknowledge(rest));
    expect(labels()).toEqual([server.streamOf("carts").label]);
    await reading.stop();
  });

  test("that is switched on again with another view type is read as that has it, behind a gap", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    server.put("carts", "b");
    server.disable("carts");
    server.double.life.enable("carts", "KEYS_ONLY");
    server.put("carts", "c");
    const result = await readOn(ground, from, (read) => read.length === 2);
    expect(result.keys).toEqual(["b", "c"]);
    expect(result.gaps).toMatchObject([{ lost: { code: "STREAM_REPLACED" } }]);
  });

  test("of a table that was deleted and made again is read to its end, then the next one from its beginning", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    server.put("carts", "b");
    await server.deleteTable("carts");
    server.createTable("carts");
    server.put("carts", "c");
    const result = await readOn(ground, from, (read) => read.length === 2);
    expect(result.keys).toEqual(["b", "c"]);
    expect(result.gaps).toMatchObject([
      { lost: { code: "STREAM_REPLACED", details: { table: "carts" }, collections: ["_.carts"] } },
    ]);
  });

  test("that is gone with what was not read is one loss with its next one, and both are named", async () => {
    const ground = dynamoGround({ tables: ["carts", "orders"] });
    const { server } = ground;
    server.createTable("orders");
    const from = await begun(ground);
    server.put("carts", "b");
    server.disable("carts");
    const { label } = server.streamOf("carts");
    server.enable("carts");
    server.forget(label);
    server.put("carts", "c");
    const result = await readOn(ground, from, (read) => read.length === 1);
    expect([result.keys, result.losses.length]).toEqual([["c"], 1]);
    expect(result.gaps.map(({ lost }) => lost.code).toSorted()).toEqual(["SHARD_EXPIRED", "STREAM_REPLACED"]);
  });

  test("whose first shards were gone before it was begun names them, behind the one before", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    server.disable("carts");
    server.enable("carts");
    server.put("carts", "b");
    server.roll("carts", 2);
    const parents = server.streamOf("carts").shards.filter(({ end }) => !end);
    const [first] = server.streams.flatMap(({ shards }) => shards);
    for (const key of ["c", "d", "e", "f"]) server.put("carts", key);
    server.roll("carts");
    server.trim("carts", true);
    for (const key of ["g", "h", "i", "j"]) server.put("carts", key);
    const result = await readOn(ground, from, (read) => read.length === 4);
    expect(result.keys.toSorted()).toEqual(["g", "h", "i", "j"]);
    expect(result.losses).toHaveLength(1);
    expect(namedBy(result)).toEqual([first, ...parents].map((one) => one?.id.slice(-1)).sort());
    expect(result.gaps.filter(({ lost }) => lost.code === "STREAM_REPLACED")).toHaveLength(1);
  });

  test("that is not known for a moment is no loss", async () => {
    const ground = dynamoGround();
    const { server } = ground;
    const from = await begun(ground);
    server.put("carts", "b");
    let left = 1;
    const { reading } = await ground.read(from);
    server.before = (operation) => {
      if (operation === "describeStream" && left-- > 0) throw new ServerError("unknown", "no such stream");
    };
    server.roll("carts");
    server.put("carts", "c");
    await ground.until(() => keysOf(reading).length === 2);
    expect([keysOf(reading), left < 0]).toEqual([["b", "c"], true]);
    await reading.stop();
  });
});
