// What users of other readers of DynamoDB Streams have reported, tried on this one, in virtual time. Each test names a report of its kind.

import { describe, expect, test } from "vitest";
import { FAILED, THROTTLED } from "../../../../../src/dev/dynamodb/trouble.ts";
import { HistoryLostError, TransientError } from "../../../../../src/errors.ts";
import type { Positions } from "../../../../../src/event/positions.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import type { DynamoApi } from "../../../../../src/source/dynamodb/client/api.ts";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { createDynamoConnector } from "../../../../../src/source/dynamodb/connector.ts";
import { contextOf, type Memory } from "../../../../contract/source/source-ground.ts";
import { SourceReading } from "../../../../contract/source/source-reading.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualTime } from "../../../../support/virtual-time.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
let made = 0;

function ground(section: object = {}, change: (api: DynamoApi) => DynamoApi = (api) => api) {
  const time = new VirtualTime();
  const server = new ScriptedDynamo(`report${++made}`, time.clock);
  server.createTable("carts");
  const connector = createDynamoConnector({ connect: async () => change(server.connect()), clock: time.clock });
  const config = connector.parse({ tables: ["carts"], ...section }, "sources.shop");
  const memory: Memory = { value: undefined };
  const until = (what: () => boolean): Promise<void> =>
    time.when(
      (async () => {
        for (let left = 50_000; !what(); left--) {
          if (left === 0) throw new Error("it never came to that");
          await time.clock.sleep(10);
        }
      })(),
    );
  const read = async (from?: Positions) => {
    const source = await time.when(connector.open("shop" as SourceId, config, contextOf(memory, true)));
    const reading = new SourceReading(source, from);
    await until(() => reading.started || reading.over);
    return { source, reading };
  };
  const pass = (ms: number): Promise<void> => time.when(time.clock.sleep(ms));
  return { time, server, until, read, pass };
}

function keysOf(reading: SourceReading): readonly string[] {
  return reading.changes.map(({ key }) => key);
}

function lossesOf(reading: SourceReading): readonly unknown[] {
  return reading.messages.flatMap((message) => (message.type === "began" && message.lost ? [message.lost] : []));
}

describe("lineage:", () => {
  test("an item's changes in a parent and its children come in their order (artie reader 422, Flink 35660)", async () => {
    const { server, until, read } = ground({ start: "earliest" });
    const keys = ["a", "b", "c", "d", "e"];
    for (let nth = 0; nth < 6; nth++) {
      for (const key of keys) server.put("carts", key, String(nth));
      server.roll("carts", nth % 2 === 0 ? 2 : 1);
    }
    const { reading } = await read();
    await until(() => reading.changes.length === 30);
    for (const key of keys) {
      const texts = reading.changes
        .filter((one) => one.key === key)
        .map(({ data }) => JSON.parse(String(data)).after.text);
      expect(texts).toEqual(["0", "1", "2", "3", "4", "5"]);
    }
    await reading.stop();
  });

  test("what a child has before anybody lists it is read, also from now on (Redpanda Connect 4687, teleport 65534)", async () => {
    const { server, until, read } = ground();
    const { reading } = await read();
    server.roll("carts", 2);
    for (const key of ["a", "b", "c", "d"]) server.put("carts", key);
    server.roll("carts", 2);
    for (const key of ["e", "f", "g", "h"]) server.put("carts", key);
    await until(() => reading.changes.length === 8);
    expect([...keysOf(reading)].sort()).toEqual(["a", "b", "c", "d", "e", "f", "g", "h"]);
    await reading.stop();
  });

  test("children do not wait for a parent that is gone before a first start, which lost nothing (Spanner migration 347, bloop 141)", async () => {
    const { server, until, read } = ground({ start: "earliest" });
    server.put("carts", "old");
    server.roll("carts", 2);
    server.trim("carts", true);
    for (const key of ["a", "b", "c"]) server.put("carts", key);
    const { reading } = await read();
    await until(() => reading.changes.length === 3);
    expect(lossesOf(reading)).toEqual([]);
    await reading.stop();
  });

  test("a child that is listed half an hour late is read then, and ends nothing (Kinesis adapter 20 and 40, KCL 746)", async () => {
    const { server, until, read, pass } = ground();
    const { reading } = await read();
    server.double.life.roll("carts", { children: 2, unlisted: true });
    for (const key of ["a", "b", "c"]) server.put("carts", key);
    await pass(30 * MINUTE_MS);
    expect([reading.over, reading.changes.length]).toEqual([false, 0]);
    server.double.life.list("carts");
    await until(() => reading.changes.length === 3);
    await reading.stop();
  });

  test("a shard whose child is not listed holds up no other (Flink 40184)", async () => {
    const { server, until, read } = ground();
    server.roll("carts", 2);
    const { reading } = await read();
    const [, left] = server.streamOf("carts").shards;
    server.double.life.roll("carts", { shard: left?.id ?? "", unlisted: true });
    for (let nth = 0; nth < 20; nth++) server.put("carts", `k${nth}`);
    const held = server.streamOf("carts").shards.at(-1)?.records.length ?? 0;
    await until(() => reading.changes.length === 20 - held);
    server.double.life.list("carts");
    await until(() => reading.changes.length === 20);
    await reading.stop();
  });

  test("shards that were read to their ends are not asked again at the next start (Spring Integration AWS 63 and 210)", async () => {
    const { server, until, read } = ground();
    const first = await read();
    server.put("carts", "a");
    server.roll("carts");
    server.put("carts", "b");
    await until(() => first.reading.changes.length === 2);
    await first.reading.stop();
    const asked: string[] = [];
    server.before = (operation, subject) => {
      if (operation === "iterator") asked.push(subject);
    };
    const { reading } = await read(first.reading.reached);
    server.put("carts", "c");
    await until(() => reading.changes.length === 1);
    const [old, now] = server.streamOf("carts").shards;
    expect(asked).not.toContain(old?.id);
    expect(asked).toContain(now?.id);
    await reading.stop();
  });

  test("more shards than a page has are all read (Redpanda Connect 4489)", async () => {
    const { server, until, read } = ground();
    server.roll("carts", 250);
    const { reading } = await read();
    for (let nth = 0; nth < 300; nth++) server.put("carts", `k${nth}`);
    await until(() => reading.changes.length === 300);
    await reading.stop();
  });
});

describe("what is asked:", () => {
  test("DescribeStream never more than ten times in a second, however many pages and streams (teleport 53790, Spice 8493)", async () => {
    const { server, time, until, read, pass } = ground({ tables: ["carts", "t*"] });
    for (let nth = 0; nth < 5; nth++) server.createTable(`t${nth}`);
    server.pageShards = 2;
    for (let nth = 0; nth < 5; nth++) server.roll(`t${nth}`, 9);
    const at: number[] = [];
    server.before = (operation) => {
      if (operation === "describeStream") at.push(time.clock.now());
    };
    const { reading } = await read();
    for (let nth = 0; nth < 5; nth++) server.roll(`t${nth}`, 2);
    server.put("carts", "a");
    await until(() => reading.changes.length === 1);
    await pass(5 * MINUTE_MS);
    expect(at.length).toBeGreaterThan(50);
    for (const [nth, first] of at.entries())
      expect((at[nth + 10] ?? Number.POSITIVE_INFINITY) - first).toBeGreaterThan(999);
    await reading.stop();
  });

  test("a shard that is throttled for ever holds up no other (Redpanda Connect 4737)", async () => {
    const { server, until, read, pass } = ground();
    server.roll("carts", 2);
    const { reading } = await read();
    const [, left] = server.streamOf("carts").shards;
    server.before = (operation, subject) => {
      const text = operation === "records" ? Buffer.from(subject.split("|")[2] ?? "", "base64").toString() : subject;
      if (left !== undefined && text.includes(left.id)) server.double.troubles.add({ times: 1, what: THROTTLED });
    };
    for (let nth = 0; nth < 20; nth++) server.put("carts", `k${nth}`);
    const held = left?.records.length ?? 0;
    await until(() => reading.changes.length === 20 - held);
    await pass(HOUR_MS);
    expect(reading.over).toBe(false);
    server.before = () => {};
    server.double.troubles.clear();
    await until(() => reading.changes.length === 20);
    await reading.stop();
  });
});

describe("an answer that is wrong for once loses nothing:", () => {
  const times = (operation: string, type: string, times: number) => ({
    ...{ operations: [operation], times, what: { kind: "refuse", type } as const },
  });

  test.each([
    ["GetRecords", "TrimmedDataAccessException", 1, "SDK for Java 2923: trimmed, though nothing is"],
    ["GetRecords", "ResourceNotFoundException", 1, "LocalStack 12036: an iterator of no shard"],
    [
      "GetRecords",
      "ExpiredIteratorException",
      3,
      "Redpanda Connect 4545, node-dynamodb-stream 5: the iterator has expired",
    ],
    ["GetShardIterator", "LimitExceededException", 20, "SDK for Java v2 470: the rate is exceeded"],
  ])("%s: %s, %d times (%s)", async (operation, type, nth) => {
    const { server, until, read } = ground();
    const { reading } = await read();
    server.put("carts", "a");
    await until(() => reading.changes.length === 1);
    server.double.troubles.add(times(operation, type, nth));
    server.put("carts", "b");
    await until(() => reading.changes.length === 2 || reading.over);
    expect(keysOf(reading)).toEqual(["a", "b"]);
    expect(lossesOf(reading)).toEqual([]);
    await reading.stop();
  });

  test("an open shard without another iterator is no shard that has ended (nodejs-kinesis-client 25, Pipedream 16056)", async () => {
    let wrong = 0;
    const { server, until, read } = ground({}, (api) => ({
      ...api,
      records: async (...asked) => {
        const page = await api.records(...asked);
        return wrong-- > 0 ? { ...page, next: undefined } : page;
      },
    }));
    const { reading } = await read();
    server.put("carts", "a");
    await until(() => reading.changes.length === 1);
    wrong = 1;
    server.put("carts", "b");
    await until(() => reading.changes.length === 2);
    server.put("carts", "c");
    await until(() => reading.changes.length === 3);
    expect(keysOf(reading)).toEqual(["a", "b", "c"]);
    await reading.stop();
  });

  test("a closed shard ends by its first answer without an iterator, also by a server that gives another one when asked again", async () => {
    const closed = new Set<string>();
    const { server, until, read } = ground({}, (api) => ({
      ...api,
      iterator: async (arn, shard, from) => `${shard}|${await api.iterator(arn, shard, from)}`,
      records: async (named, limit) => {
        const [shard = "", ...iterator] = named.split("|");
        const page = await api.records(iterator.join("|"), limit);
        if (page.next !== undefined) return { ...page, next: `${shard}|${page.next}` };
        if (closed.has(shard)) return { ...page, next: named };
        closed.add(shard);
        return page;
      },
    }));
    const { reading } = await read();
    server.put("carts", "a");
    server.roll("carts");
    server.put("carts", "b");
    await until(() => reading.changes.length === 2);
    expect(keysOf(reading)).toEqual(["a", "b"]);
    await reading.stop();
  });

  test("records that come again are handed out once (kinesis-mock 260: the same iterator as next)", async () => {
    let again = 0;
    const { server, until, read } = ground({}, (api) => ({
      ...api,
      records: async (iterator, ...rest) => {
        const page = await api.records(iterator, ...rest);
        return again-- > 0 ? { ...page, next: iterator } : page;
      },
    }));
    const { reading } = await read();
    again = 1000;
    for (const key of ["a", "b"]) server.put("carts", key);
    await until(() => reading.changes.length >= 2);
    again = 3;
    await until(() => again <= 0);
    server.put("carts", "c");
    await until(() => keysOf(reading).includes("c"));
    expect(keysOf(reading)).toEqual(["a", "b", "c"]);
    await reading.stop();
  });
});

describe("what is lost is told, and is waited for by nobody:", () => {
  const lostWhile = async (lose: (server: ScriptedDynamo, pass: (ms: number) => Promise<void>) => Promise<void>) => {
    const { server, until, read, pass, time } = ground();
    const { reading } = await read();
    server.put("carts", "a");
    await until(() => reading.changes.length === 1);
    const end = server.double.troubles.add({ operations: ["GetRecords"], what: THROTTLED });
    server.put("carts", "lost");
    await lose(server, pass);
    end();
    return time.when(reading.ended);
  };

  test("a shard that goes while its iterator is expired (Redpanda Connect 4722)", async () => {
    const error = await lostWhile(async (server, pass) => {
      await pass(16 * MINUTE_MS);
      server.roll("carts");
      server.trim("carts", true);
    });
    expect(error).toMatchObject({ code: "SHARD_EXPIRED" });
  });

  test("a place that is older than what is kept (floci 3412, node-dynamodb-stream 13)", async () => {
    const error = await lostWhile(async (server) => server.trim("carts"));
    expect(error).toMatchObject({ code: "SHARD_TRIMMED" });
  });

  test("also by a server that says so only once it is asked for records (floci 3412)", async () => {
    const late = new ServerError("trimmed", "it is older than what is kept");
    const { server, until, read, time } = ground({}, (api) => ({
      ...api,
      iterator: (...asked) =>
        api.iterator(...asked).catch((error) => {
          if (error.refusal === "trimmed") return "late";
          throw error;
        }),
      records: (iterator, ...rest) => (iterator === "late" ? Promise.reject(late) : api.records(iterator, ...rest)),
    }));
    const { reading } = await read();
    server.put("carts", "a");
    await until(() => reading.changes.length === 1);
    const end = server.double.troubles.add({ operations: ["GetRecords"], what: THROTTLED });
    server.put("carts", "lost");
    server.trim("carts");
    end();
    expect(await time.when(reading.ended)).toMatchObject({ code: "SHARD_TRIMMED" });
  });

  test("a source that slept for longer than a day (Spice 10754 and 10582)", async () => {
    const { server, until, read, pass, time } = ground();
    server.double.state.settings.retentionMs = 24 * HOUR_MS;
    const first = await read();
    server.put("carts", "a");
    await until(() => first.reading.changes.length === 1);
    await first.reading.stop();
    server.put("carts", "lost");
    for (let nth = 0; nth < 7; nth++) {
      server.roll("carts");
      time.clock.advance(4 * HOUR_MS);
    }
    server.put("carts", "b");
    const second = await read(first.reading.reached);
    const error = await time.when(second.reading.ended);
    expect(error).toBeInstanceOf(HistoryLostError);
    await time.when(second.source.giveUp?.(error as HistoryLostError) ?? Promise.resolve());
    const { reading } = await read(second.reading.reached ?? first.reading.reached);
    await until(() => keysOf(reading).includes("b"));
    expect(lossesOf(reading)).not.toEqual([]);
    await pass(MINUTE_MS);
    expect(reading.over).toBe(false);
    await reading.stop();
  });

  test("but shards that are listed and cannot be read any more are no loss of a first start (Flink 26890)", async () => {
    const { server, until, read } = ground({ start: "earliest" });
    server.put("carts", "old");
    server.roll("carts");
    const [old] = server.streamOf("carts").shards;
    server.double.troubles.add({
      ...{ operations: ["GetShardIterator"], naming: old?.id ?? "" },
      what: { kind: "refuse", type: "ResourceNotFoundException" },
    });
    server.put("carts", "a");
    const { reading } = await read();
    await until(() => reading.changes.length === 1 || reading.over);
    expect(keysOf(reading)).toEqual(["a"]);
    expect(lossesOf(reading)).toEqual([]);
    await reading.stop();
  });
});

test.each([
  [1_428_537_600, "2015-04-09T00:00:00.000Z"],
  [1_428_537_600.25, "2015-04-09T00:00:00.250Z"],
  [1_428_537_600_123, "2015-04-09T00:00:00.123Z"],
  [1_428_537_600_123_456, "2015-04-09T00:00:00.123Z"],
])(
  "a time in seconds, also parts of them, milliseconds or microseconds is the same time (Lambda for Java 543, 455): %d",
  async (given, time) => {
    const { server, until, read } = ground({ start: "earliest" });
    server.put("carts", "a", "", { ApproximateCreationDateTime: given });
    const { reading } = await read();
    await until(() => reading.changes.length === 1);
    expect(reading.changes[0]?.transaction.time).toBe(time);
    await reading.stop();
  },
);

test("a fault of one request ends a reading with what can be waited for, never with a crash (node-dynamodb-stream 8)", async () => {
  const { server, read, time } = ground();
  const { reading } = await read();
  server.double.troubles.add({ what: FAILED });
  expect(await time.when(reading.ended)).toBeInstanceOf(TransientError);
});
