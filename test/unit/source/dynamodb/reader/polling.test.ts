// How often the shards of a source are asked, in virtual time, over a DynamoDB that a test writes down.

import { describe, expect, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { createDynamoConnector } from "../../../../../src/source/dynamodb/connector.ts";
import { contextOf } from "../../../../contract/source/source-ground.ts";
import { SourceReading } from "../../../../contract/source/source-reading.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualTime } from "../../../../support/virtual-time.ts";

let made = 0;

/** A source of tables of one shard each. */
async function opened(tables: readonly string[], poll: object) {
  const time = new VirtualTime();
  const { clock } = time;
  const server = new ScriptedDynamo(`polled${++made}`, clock);
  for (const table of tables) server.createTable(table);
  const connector = createDynamoConnector({ connect: async () => server.connect(), clock });
  const config = connector.parse({ tables, poll }, "sources.shop");
  const one = await time.when(connector.open("shop" as SourceId, config, contextOf({ value: undefined }, true)));
  return { time, clock, server, one };
}

async function reading(tables: readonly string[], poll: object = {}) {
  const { time, clock, server, one: source } = await opened(tables, poll);
  const one = new SourceReading(source);
  const pass = (ms: number): Promise<void> => time.when(clock.sleep(ms));
  while (!one.started) await pass(10);
  /** When records were asked for from now on. */
  const askedAt: { readonly at: number; readonly iterator: string }[] = [];
  server.before = (operation, iterator) => {
    if (operation === "records") askedAt.push({ at: clock.now(), iterator });
  };
  return { clock, server, one, pass, askedAt };
}

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, nth) => `t${nth}`);

describe("a shard without records", () => {
  test("is asked every second for a minute, and every maxIdleMs from then on", async () => {
    const { pass, askedAt, one } = await reading(["carts"]);
    await pass(30_000);
    expect(askedAt.length).toBeGreaterThanOrEqual(29);
    expect(askedAt.length).toBeLessThanOrEqual(36);
    await pass(60_000);
    askedAt.length = 0;
    await pass(60_000);
    expect(askedAt.length).toBeGreaterThanOrEqual(29);
    expect(askedAt.length).toBeLessThanOrEqual(34);
    await one.stop();
  });

  test("is asked as often as minMs and maxIdleMs say", async () => {
    const { pass, askedAt, one } = await reading(["carts"], { minMs: 100, maxIdleMs: 100 });
    await pass(10_000);
    expect(askedAt.length).toBeGreaterThanOrEqual(99);
    expect(askedAt.length).toBeLessThanOrEqual(115);
    await one.stop();
    const slow = await reading(["carts"], { minMs: 5_000, maxIdleMs: 60_000 });
    await slow.pass(60_000);
    expect(slow.askedAt.length).toBeGreaterThanOrEqual(12);
    expect(slow.askedAt.length).toBeLessThanOrEqual(14);
    await slow.pass(600_000);
    slow.askedAt.length = 0;
    await slow.pass(600_000);
    expect(slow.askedAt.length).toBeGreaterThanOrEqual(10);
    expect(slow.askedAt.length).toBeLessThanOrEqual(12);
    await slow.one.stop();
  });

  test("is asked every minMs again once it had one", async () => {
    const { pass, askedAt, one, server } = await reading(["carts"]);
    await pass(120_000);
    server.put("carts", "a");
    while (one.changes.length === 0) await pass(10);
    askedAt.length = 0;
    await pass(250);
    expect(askedAt.length).toBe(1);
    await one.stop();
  });
});

describe("two hundred shards", () => {
  test("are not asked in one burst", async () => {
    const { pass, askedAt, one } = await reading(names(200));
    await pass(90_000);
    askedAt.length = 0;
    await pass(10_000);
    const inEach = new Map<number, number>();
    for (const { at } of askedAt) inEach.set(Math.floor(at / 100), (inEach.get(Math.floor(at / 100)) ?? 0) + 1);
    // Ten in each tenth of a second, by the mean.
    expect(askedAt.length).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...inEach.values())).toBeLessThanOrEqual(30);
    await one.stop();
  });
});

test("A shard with more than can be handed out delays a record of another one by its interval and little more", async () => {
  const interval = 300;
  const chunkMs = 100;
  const { time, one: source, server, clock } = await opened(names(20), { minMs: 100, maxIdleMs: interval });
  const seen = new Map<string, number>();
  const end = new AbortController();
  const ended = (async () => {
    for await (const chunk of source.read({ from: undefined, signal: end.signal })) {
      for (const message of chunk) if (message.type === "change") seen.set(message.key, clock.now());
      await clock.sleep(chunkMs);
    }
  })();
  let written = 0;
  server.before = (operation, subject) => {
    if (operation !== "records" || !subject.includes("/t0/")) return;
    for (let nth = 0; nth < 100; nth++) server.put("t0", `hot${written++}`, "x".repeat(4_000));
  };
  await time.when(clock.sleep(6_000));
  const waits: number[] = [];
  for (let table = 1; table < 20; table += 3) {
    const at = clock.now();
    server.put(`t${table}`, `quiet${table}`);
    while (!seen.has(`quiet${table}`)) await time.when(clock.sleep(10));
    waits.push((seen.get(`quiet${table}`) ?? 0) - at);
  }
  end.abort();
  await time.when(ended);
  expect(seen.size).toBeGreaterThan(5_000);
  // One chunk is being handed out, and one of the other shard's may stand before it.
  expect(Math.max(...waits)).toBeLessThanOrEqual(interval + 2 * chunkMs + 20);
});

describe("a shard that is throttled", () => {
  test("is asked less and less often, up to every five seconds and not in step, and holds up no other", async () => {
    const { pass, one, server, clock } = await reading(["t0", "t1"], { minMs: 100, maxIdleMs: 1_000 });
    const askedAt: number[] = [];
    server.before = (operation, subject) => {
      if (operation !== "records" || !subject.includes("/t0/")) return;
      askedAt.push(clock.now());
      throw new ServerError("throttled", "too many");
    };
    await pass(120_000);
    const rests = askedAt.slice(6).map((at, nth, all) => at - (all[nth - 1] ?? at));
    expect(Math.max(...rests)).toBeLessThanOrEqual(5_010);
    expect(new Set(rests).size).toBeGreaterThan(rests.length / 2);
    expect(askedAt.length).toBeLessThan(120);
    const at = clock.now();
    server.put("t1", "a");
    while (one.changes.length === 0) await pass(10);
    expect(clock.now() - at).toBeLessThanOrEqual(1_020);
    await one.stop();
  });
});
