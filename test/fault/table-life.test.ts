// Two tables of a DynamoDB live through all that becomes of shards, on our double by the real SDK, while the worker that reads them is
// killed where a crash must do no harm. Judged by the double's own log.

import { expect, test } from "vitest";
import { realClock } from "../../src/clock.ts";
import { DynamoDouble } from "../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../src/dev/dynamodb/dynamo-http.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import type { Connector } from "../../src/source/connector.ts";
import { dynamoConnector } from "../../src/source/dynamodb/connector.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { quick } from "../contract/bus-ground.ts";
import { jetStreamAt } from "../contract/jetstream-server.ts";
import { ContractWorker, type KillPoint, killPoints } from "../contract/source/source-worker.ts";
import { changesOf, markersOf, wrongIn } from "../contract/source/stream-facts.ts";
import { Random } from "../support/bus/scripted-bus.ts";
import { countChanges, readStream, type StreamEvent } from "../support/bus/stream-events.ts";
import { drawnOf } from "../support/drawn.ts";
import { useTestCredentials } from "../support/dynamodb/dynamo-target.ts";
import { TableLife, type Turn, turns, type Written } from "../support/dynamodb/table-life.ts";
import { seedOf } from "../support/fault-ground.ts";
import { freshNats } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const KILLS = 3;
/** Of how many times that a worker gets to a place it is killed there at one. */
const OCCURRENCES: Partial<Record<KillPoint, number>> = {
  ...{ "mid-transaction": 8, "after-publish": 8, "before-save": 4, "after-save": 4, "before-acknowledge": 4 },
};
/** A source that starts over behind one loss after the other rests for up to 30 s before it does, and twice so for two tables. */
const PATIENCE_MS = 90_000;

const id = "shop" as SourceId;
const seed = seedOf("a table's life");
useTestCredentials();

test.concurrent.each(drawnOf("table-life", killPoints, 7))(
  "Each record of two tables is in the stream once, and in its item's order, through all that becomes of their shards, though workers are killed %s",
  async (at) => {
    const random = new Random(seed + killPoints.indexOf(at));
    const nats = await freshNats({ config: "max_payload: 65536" });
    const double = new DynamoDouble({ pageShards: 3, closesWithRecords: random.chance(0.5) });
    await using http = await DynamoHttp.start(double);
    const lives = ["carts", "orders"].map((table) => new TableLife({ double, table, random, source: id }));
    const section = {
      ...{ region: "eu-west-1", endpoint: http.url, tables: ["carts", "orders"] },
      ...{ poll: { minMs: 20, maxIdleMs: 60 }, onGap: "continue" },
    };
    const stream = (): Promise<readonly StreamEvent[]> => readStream(nats.url, "CDC_SHOP");
    const early: string[] = [];
    let kills = 0;
    const start = async () => {
      const bus = await jetStreamAt(nats.url, { fsync: "always", timing: quick, log: silentLogger });
      const kill = kills < KILLS && { kill: { at, nth: 1 + random.below(OCCURRENCES[at] ?? 1) } };
      return {
        bus,
        worker: new ContractWorker({
          ...{ id, bus, clock: realClock, connector: dynamoConnector as Connector<unknown> },
          ...{ database: { section: () => section }, settings: { ...kill } },
        }),
      };
    };
    let { worker, bus } = await start();
    const end = async (): Promise<unknown> => {
      await worker.end();
      await bus[Symbol.asyncDispose]();
      early.push(...worker.early);
      return worker.ended;
    };
    /** Another one where it was killed; nothing else may end it. */
    const goOn = async (): Promise<void> => {
      if (!worker.killed) return;
      kills++;
      await end();
      ({ worker, bus } = await start());
    };
    const until = (look: () => Promise<boolean>, what: string): Promise<unknown> =>
      waitFor(
        async () => {
          await goOn();
          return look();
        },
        { what: `${what}, seed ${seed}`, timeoutMs: PATIENCE_MS },
      );
    const isRead = async (): Promise<boolean> => {
      const count = lives.flatMap((life) => life.readable()).length;
      if ((await countChanges(nats.url, "CDC_SHOP")) < count) return false; // cheaper than to read it
      const there = new Set(idsIn(await stream()));
      return lives.every((life) => life.readable().every((one) => there.has(one.id)));
    };
    const settle = async (): Promise<void> => {
      for (const life of lives) life.writeAll();
      await until(isRead, "all that can be read to be in the stream");
    };

    try {
      await until(async () => worker.tracker.status().state === "running", "the source to run");
      for (let round = 0; round === 0 || (kills < KILLS && round < 4); round++) {
        for (const [life, turn] of scriptOf(lives, random)) {
          life.write();
          if (TableLife.isLoss(turn)) await settle();
          else if (random.chance(0.3)) await until(isRead, "what was written to be in the stream");
          life.take(turn);
          for (const each of lives) each.write();
          await goOn();
        }
      }
      await settle();
      const events = await stream();
      for (const life of lives) expectWhole(events, life);
      expect(idsIn(events).length, `seed ${seed}`).toBe(lives.flatMap((life) => life.readable()).length);
      expect(wrongIn(events, { id }), `seed ${seed}`).toEqual([]);
      expectGaps(events, lives);
      expect(kills, `seed ${seed}`).toBeGreaterThanOrEqual(KILLS);
    } finally {
      await end();
    }
    expect(early).toEqual([]);
    console.error(`${at}: ${lives.flatMap((life) => life.written()).length} records, ${kills} kills`);
  },
);

/** Each turn of each table, in an order of the seed. */
function scriptOf(lives: readonly TableLife[], random: Random): readonly (readonly [TableLife, Turn])[] {
  const script = lives.flatMap((life) => turns.map((turn) => [random.next(), [life, turn]] as const));
  return script.sort(([a], [b]) => a - b).map(([, one]) => one);
}

function idsIn(stream: readonly StreamEvent[]): readonly string[] {
  return changesOf(stream).map(({ header }) => header("ce-id") ?? "");
}

/** All that can be there: each item's in its order, and each shard's behind all of those before it. */
function expectWhole(stream: readonly StreamEvent[], life: TableLife): void {
  const readable = new Map(life.readable().map((one) => [one.id, one]));
  const there = idsIn(stream).flatMap((id) => readable.get(id) ?? []);
  expect(byItem(there)).toEqual(byItem([...readable.values()]));
  const [first, last] = [new Map<string, number>(), new Map<string, number>()];
  for (const [at, { shard }] of there.entries()) {
    if (!first.has(shard.id)) first.set(shard.id, at);
    last.set(shard.id, at);
  }
  const before = there.flatMap(({ shard, stream: { shards } }) => {
    const early: string[] = [];
    for (let { parent } = shard; parent !== undefined; parent = shards.find((one) => one.id === parent)?.parent)
      if ((last.get(parent) ?? -1) > (first.get(shard.id) ?? 0)) early.push(`${shard.id} before ${parent} was over`);
    return early;
  });
  expect(before).toEqual([]);
}

function byItem(all: readonly Written[]): Readonly<Record<string, readonly string[]>> {
  const items: Record<string, string[]> = {};
  for (const { id, item } of all) {
    items[item] ??= [];
    items[item].push(id);
  }
  return items;
}

/** A gap for each shard of which something was lost, and each stream that was replaced; no other, and none twice. */
function expectGaps(stream: readonly StreamEvent[], lives: readonly TableLife[]): void {
  const gaps = markersOf(stream, "gap").map(({ text }) => JSON.parse(text) as Gap);
  expect(gaps.map(({ upTo }) => upTo)).toEqual([...new Set(gaps.map(({ upTo }) => upTo))]);
  const streams = lives.flatMap((life) => life.streams());
  const replaced = gaps
    .filter(({ code }) => code === "STREAM_REPLACED")
    .map(({ table, stream }) => `${table}/${stream}`);
  expect(replaced.sort()).toEqual(
    streams
      .filter(({ disabled }) => disabled)
      .map(({ table, label }) => `${table}/${label}`)
      .sort(),
  );
  const named = gaps.flatMap(({ shard }) => shard ?? []);
  const lossy = new Set(lives.flatMap((life) => life.lossy().map(({ id }) => id)));
  expect([...lossy].filter((shard) => !named.includes(shard))).toEqual([]);
  // One that was gone may have had nothing that was not read: nobody can tell.
  const gone = new Set(streams.flatMap(({ shards }) => shards.filter((shard) => shard.gone).map((shard) => shard.id)));
  expect(named.filter((shard) => !lossy.has(shard) && !gone.has(shard))).toEqual([]);
}

interface Gap {
  readonly code: string;
  readonly upTo: string;
  readonly table: string;
  /** Its label. */
  readonly stream: string;
  readonly shard?: string;
}
