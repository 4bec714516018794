// How near a source is to what DynamoDB no longer keeps, as its guard and `millrace slots` see it.

import { expect, onTestFinished, test } from "vitest";
import type { Position } from "../../../../../src/event/position.ts";
import { DescribeTurns } from "../../../../../src/source/dynamodb/client/describe-turns.ts";
import { partitionOf } from "../../../../../src/source/dynamodb/client/partition.ts";
import { PositionFormat, type ShardPlace, Step } from "../../../../../src/source/dynamodb/client/position.ts";
import { parseDynamoConfig } from "../../../../../src/source/dynamodb/options/config.ts";
import { StreamRetention } from "../../../../../src/source/dynamodb/retention/stream-retention.ts";
import { beginRecord } from "../../../../../src/source/dynamodb/shards/begin-record.ts";
import type { SourceRecord } from "../../../../../src/source/dynamodb/stream-record.ts";
import { isBeyond } from "../../../../../src/source/retention.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualClock } from "../../../../support/virtual-clock.ts";

const HOUR_MS = 3600_000;

/** A source of one table, and a guard of it, by a clock that the test moves. */
async function ground({ start = "earliest", complete = false, guard = {}, ahead, tables }: Partial<Settings> = {}) {
  const clock = new VirtualClock();
  clock.advance(1000 * HOUR_MS);
  const server = new ScriptedDynamo("retention", clock);
  server.createTable("carts");
  const config = parseDynamoConfig({ tables: ["carts"], start, guard }, "sources.shop");
  const facts = [await server.connect().describeTable("carts")];
  const now = new Date(clock.wall()).toISOString();
  let record: SourceRecord | undefined = await beginRecord({ api: server.connect(), config, tables: facts, now });
  const through = new Map<string, Position>();
  const probe = new StreamRetention({
    turns: new DescribeTurns(clock),
    config: { ...config, tables: tables ?? config.tables },
    clock: { now: () => clock.now(), wall: () => clock.wall() + (ahead ?? 0), sleep: (...of) => clock.sleep(...of) },
    connect: async () => {
      const api = server.connect();
      if (ahead === undefined) return api;
      return { ...api, records: async (...asked) => ({ ...(await api.records(...asked)), at: clock.wall() }) };
    },
    context: { saved: async () => record, complete },
  });
  onTestFinished(() => probe[Symbol.asyncDispose]());
  /** The source has acknowledged a shard up to here. */
  const reach = (shard: string, place: ShardPlace, label = server.streamOf("carts").label): void => {
    const partition = partitionOf({ table: "carts", label, shard });
    through.set(partition, new PositionFormat(partition).format(place));
  };
  /** Up to the newest record that a shard has. */
  const readAll = (nth = 0): void => {
    const { id, records } = server.streamOf("carts").shards[nth] ?? expect.unreachable("no such shard");
    reach(id, { number: records.at(-1)?.dynamodb.SequenceNumber, step: Step.record });
  };
  const look = async () => {
    const looking = probe.look(through);
    await clock.pass(1_500); // between listings it waits
    return looking;
  };
  return { clock, server, probe, reach, readAll, look, forget: () => (record = undefined) };
}

interface Settings {
  /** What the configuration names by now, where that is another table than at the beginning. */
  readonly tables: readonly string[];
  /** By how much the worker's clock is wrong, on a server that says the time; else it is right. */
  readonly ahead: number;
  readonly start: "now" | "earliest";
  readonly complete: boolean;
  readonly guard: object;
}

test("a place at the end of its shard has no lag, for as long as nothing comes", async () => {
  const { server, clock, readAll, look, probe } = await ground();
  server.put("carts", "a");
  readAll();

  for (let hours = 0; hours < 30; hours++) {
    expect(await look()).toEqual({ lost: 0, timeToFullSeconds: undefined, retentionUsed: 0, lagSeconds: 0 });
    clock.advance(HOUR_MS);
  }
  expect(probe.summary).toBe("nothing waits; 1 shard is not read to the end");
});

test("what waits is as old as its oldest change, and grows older without being asked again", async () => {
  const { server, clock, readAll, look, probe } = await ground();
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  clock.advance(6 * HOUR_MS);

  expect(await look()).toMatchObject({ lost: 0, retentionUsed: 0.25, lagSeconds: 6 * 3600 });
  expect(probe.summary).toBe(
    "the oldest change that waits is 6 h old (25 %), 18 h are left of the 24 h that DynamoDB keeps it; 1 shard is not read to the end",
  );
  const asked = server.asked.get("records");
  clock.advance(8_500);
  expect((await look())?.lagSeconds).toBe(6 * 3600 + 10);
  expect(server.asked.get("records")).toBe(asked); // each answer is paid for
});

test("once the place has moved, what waits now is asked for within a minute", async () => {
  const { server, clock, readAll, look } = await ground();
  for (const id of ["a", "b"]) server.put("carts", id);
  readAll();
  clock.advance(200_000);
  server.put("carts", "c");
  clock.advance(30_000);
  expect((await look())?.lagSeconds).toBe(30);
  readAll();
  clock.advance(60_000);
  expect((await look())?.lagSeconds).toBe(0);
});

test("a source that moves, and yet falls back, is told with the time that is left", async () => {
  const { server, clock, reach, look, probe } = await ground();
  for (let nth = 0; nth < 400; nth++) {
    server.put("carts", `k${nth}`);
    clock.advance(60_000);
  }
  const [shard] = server.streamOf("carts").shards;
  const { id, records } = shard ?? expect.unreachable("no shard");
  let held: Awaited<ReturnType<typeof look>>;
  for (let looks = 0; looks < 30; looks++) {
    // A minute of changes in three minutes.
    const number = records[Math.floor(looks / 18)]?.dynamodb.SequenceNumber;
    reach(id, { number, step: Step.record });
    held = await look();
    clock.advance(8_500);
  }
  expect(held?.lagSeconds).toBeGreaterThan(6.5 * 3600);
  expect(held?.timeToFullSeconds).toBeGreaterThan(17 * 3600);
  expect(probe.summary).toMatch(/; it falls back, for \d+ h more;/);
  expect(probe.metrics.filter((one) => isBeyond(one, held?.[one.name] ?? Number.NaN)).map(({ name }) => name)).toEqual([
    "lagSeconds",
  ]);
});

test("a source that stands still is over its limits long before its changes are dropped", async () => {
  const { server, clock, readAll, look, probe } = await ground({ guard: { retentionUsed: 0.6, timeToFull: "8h" } });
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  const crossed = new Map<string, number>();
  for (let hours = 0; hours < 24; hours++) {
    for (let looks = 0; looks < 8; looks++) {
      const held = (await look()) ?? {};
      for (const one of probe.metrics)
        if (!crossed.has(one.name) && isBeyond(one, held[one.name] ?? Number.NaN)) crossed.set(one.name, hours);
      clock.advance(8_500);
    }
    clock.advance(HOUR_MS - 80_000);
  }
  expect([...crossed]).toEqual([
    ["lagSeconds", 1],
    ["retentionUsed", 15],
    ["timeToFullSeconds", 16],
  ]);
});

test.each([
  ["what comes next is no longer kept", false],
  ["the shard itself is gone", true],
])("it is lost when %s", async (_, gone) => {
  const { server, clock, readAll, look, probe } = await ground();
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  expect(await look()).toMatchObject({ lost: 0 });
  server.roll("carts");
  server.trim("carts", gone);
  clock.advance(5 * 60_000);
  expect(await look()).toEqual({ lost: 1 });
  expect(probe.summary).toMatch(/^the stream 2026\S+ of the table carts no longer holds what comes next$/);
});

test("it is lost when the whole stream is gone, whatever the table has by now", async () => {
  const { server, readAll, look } = await ground();
  server.put("carts", "a");
  readAll();
  server.streams.splice(0);
  server.enable("carts");
  expect(await look()).toEqual({ lost: 1 });
});

test("children that nobody has begun with count, behind a parent that was read as far as it goes", async () => {
  const { server, clock, readAll, look, probe } = await ground();
  server.put("carts", "a");
  readAll();
  server.roll("carts", 2);
  server.put("carts", "b");
  server.put("carts", "c");
  clock.advance(2 * HOUR_MS);
  expect(await look()).toMatchObject({ lost: 0, lagSeconds: 2 * 3600 });
  expect(probe.summary).toMatch(/; 3 shards are not read to the end, 2 of them behind parents$/);
});

test("a stream that came behind one that was switched off counts before anybody has begun with it", async () => {
  const { server, clock, readAll, look } = await ground();
  server.put("carts", "a");
  readAll();
  server.disable("carts");
  server.enable("carts");
  server.put("carts", "b");
  clock.advance(3 * HOUR_MS);
  expect((await look())?.lagSeconds).toBeCloseTo(3 * 3600, -1);
});

test("what was there before a source began with now does not wait, and what came since does", async () => {
  const { server, clock, reach, look } = await ground({ start: "now" });
  const [shard] = server.streamOf("carts").shards;
  reach(shard?.id ?? "", { number: undefined, step: Step.opened });
  // As of before the start, which was an hour ago on this clock.
  server.put("carts", "old", "", { ApproximateCreationDateTime: clock.wall() / 1000 - 7200 });
  expect(await look()).toMatchObject({ lost: 0, lagSeconds: 0 });
  clock.advance(HOUR_MS);
  server.put("carts", "new");
  clock.advance(120_000);
  expect((await look())?.lagSeconds).toBeCloseTo(120, -1);
});

test("an age is by the server's clock, however wrong the worker's is", async () => {
  const { server, clock, readAll, look } = await ground({ ahead: 900_000 });
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  clock.advance(20_000);
  expect((await look())?.lagSeconds).toBe(20);
});

test("200 shards are not asked at once, nor one of them twice within two minutes", async () => {
  const { server, clock, reach, look } = await ground();
  server.roll("carts", 200);
  const asked = new Map<string, number>();
  server.before = (operation, subject) => {
    if (operation === "iterator") asked.set(subject, (asked.get(subject) ?? 0) + 1);
  };
  const [root, ...shards] = server.streamOf("carts").shards;
  reach(root?.id ?? "", { number: undefined, step: Step.ended });
  for (const { id } of shards) reach(id, { number: undefined, step: Step.opened });
  const each: number[] = [];
  for (let looks = 0; looks < 12; looks++) {
    const before = server.asked.get("records") ?? 0;
    await look();
    each.push((server.asked.get("records") ?? 0) - before);
    clock.advance(8_500);
  }
  expect(Math.max(...each)).toBe(10);
  expect(Math.max(...asked.values())).toBe(1);
});

test("a command asks all shards at its one look", async () => {
  const { server, clock, reach, look } = await ground({ complete: true });
  server.roll("carts", 30);
  const [root, ...shards] = server.streamOf("carts").shards;
  reach(root?.id ?? "", { number: undefined, step: Step.ended });
  for (const { id } of shards) reach(id, { number: undefined, step: Step.opened });
  server.put("carts", "z");
  clock.advance(900_000);
  expect((await look())?.lagSeconds).toBe(900);
});

test("where it is throttled the reader comes first: it looks later, and says what it knew", async () => {
  const { server, clock, readAll, look } = await ground();
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  clock.advance(60_000);
  expect((await look())?.lagSeconds).toBe(60);
  readAll();
  const { ServerError } = await import("../../../../../src/source/dynamodb/client/errors.ts");
  let refused = 0;
  server.before = (operation) => {
    if (operation !== "iterator") return;
    refused++;
    throw new ServerError("throttled", "too many readers");
  };
  clock.advance(60_000);
  expect((await look())?.lagSeconds).toBe(60);
  expect(refused).toBe(1);
});

test("a stream of a table that is read no more is nobody's lag, nor lost, nor listed again and again", async () => {
  const { server, clock, readAll, look } = await ground({ tables: ["orders"] });
  server.createTable("orders");
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  clock.advance(30 * HOUR_MS);
  server.trim("carts", true);
  for (let looks = 0; looks < 20; looks++) {
    expect(await look()).toMatchObject({ lost: 0, lagSeconds: 0 });
    clock.advance(8_500);
  }
  expect(server.asked.get("describeStream")).toBe(1); // for the record, by the test
});

test("a loss that was accepted is no longer told once the source goes on behind it", async () => {
  const { server, clock, readAll, reach, look } = await ground();
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  server.trim("carts");
  server.put("carts", "c");
  expect(await look()).toEqual({ lost: 1 });
  const [shard] = server.streamOf("carts").shards;
  const number = shard?.records.at(-1)?.dynamodb.SequenceNumber;
  reach(shard?.id ?? "", { number, step: Step.behindLoss });
  clock.advance(8_500);
  expect(await look()).toMatchObject({ lost: 0 });
});

test("while the bus is away it goes by what was on record last", async () => {
  const { server, clock, readAll, look, forget } = await ground();
  server.put("carts", "a");
  readAll();
  server.put("carts", "b");
  await look();
  forget();
  clock.advance(HOUR_MS);
  expect((await look())?.lagSeconds).toBeGreaterThanOrEqual(3600);
});

test("nothing is measured of a source that this process does not read", async () => {
  const { probe } = await ground();
  expect(await probe.look(undefined)).toBeUndefined();
  expect(probe.summary).toBeUndefined();
});
