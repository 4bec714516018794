// What `millrace check` finds of a DynamoDB source, over a server that a test writes down.

import { expect, test } from "vitest";
import type { Position } from "../../../../../src/event/position.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import type { DynamoApi } from "../../../../../src/source/dynamodb/client/api.ts";
import { ServerError, translateThrown } from "../../../../../src/source/dynamodb/client/errors.ts";
import { partitionOf } from "../../../../../src/source/dynamodb/client/partition.ts";
import { PositionFormat, Step } from "../../../../../src/source/dynamodb/client/position.ts";
import { createDynamoConnector } from "../../../../../src/source/dynamodb/connector.ts";
import { beginRecord } from "../../../../../src/source/dynamodb/shards/begin-record.ts";
import type { SourceRecord } from "../../../../../src/source/dynamodb/stream-record.ts";
import type { Finding } from "../../../../../src/telemetry/finding.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualClock } from "../../../../support/virtual-clock.ts";

const { signal } = new AbortController();
const HOUR_MS = 3600_000;

function ground(change: (api: DynamoApi) => DynamoApi = (api) => api) {
  const clock = new VirtualClock();
  clock.advance(1000 * HOUR_MS);
  const server = new ScriptedDynamo("checked", clock);
  const connector = createDynamoConnector({ connect: async () => change(server.connect()), clock });
  const check = async (
    section: object,
    { saved, stored, others = {} }: Partial<Known> = {},
  ): Promise<readonly Finding[]> => {
    const parse = (one: object) => connector.parse({ region: "eu-west-1", ...one }, "sources.shop");
    const named = Object.entries(others).map(([id, one]) => [id as SourceId, parse(one)] as const);
    const found: Finding[] = [];
    const checking = (async () => {
      const context = { saved, stored, others: new Map(named), signal };
      for await (const finding of connector.check("shop" as SourceId, parse(section), context)) found.push(finding);
    })();
    await clock.pass(60_000);
    await checking;
    return found;
  };
  return { clock, server, connector, check };
}

interface Known {
  readonly saved: SourceRecord;
  readonly stored: ReadonlyMap<string, Position>;
  readonly others: Readonly<Record<string, object>>;
}

const brief = (found: readonly Finding[]) => found.map(({ level, code, subject }) => [level, code, subject]);
const denial = (): never => {
  throw translateThrown(Object.assign(new Error("not authorized"), { name: "AccessDeniedException" }));
};

test("where all holds: rights, tables, and no more to say", async () => {
  const { server, check } = ground();
  server.createTable("carts");

  expect(await check({ tables: ["carts"] })).toEqual([
    {
      level: "ok",
      code: "PERMISSION_MISSING",
      subject: "rights",
      message: expect.stringMatching(/each table and stream/),
    },
    { level: "ok", code: "TABLE_NOT_FOUND", subject: "tables", message: "1 is read now" },
  ]);
});

test.each([
  ["listTables", "ListTables", "the account's tables"],
  ["describeTable", "DescribeTable", "carts, orders"],
  ["describeStream", "DescribeStream", "the stream of carts, orders"],
  ["iterator", "GetShardIterator", "the stream of carts, orders"],
  ["records", "GetRecords", "the stream of carts, orders"],
] as const)("an action that is not allowed is named, once for all tables: %s", async (operation, action, where) => {
  const { server, check } = ground();
  for (const table of ["carts", "orders"]) server.createTable(table);
  server.before = (asked) => {
    if (asked === operation) denial();
  };

  const found = await check({ tables: ["carts", "orders", "old*"] });
  expect(found.filter(({ level }) => level === "fail")).toEqual([
    {
      ...{ level: "fail", code: "PERMISSION_MISSING", subject: `action dynamodb:${action}` },
      message: `the worker may not do it on ${where}`,
      fix: "Give the worker the policy that `millrace sql role` prints.",
    },
  ]);
  expect(found.filter(({ level }) => level === "ok")).toEqual([]);
});

test("without a pattern nobody needs the right to list tables", async () => {
  const { server, check } = ground();
  server.createTable("carts");
  await check({ tables: ["carts"] });
  expect(server.asked.get("listTables")).toBeUndefined();
});

test("a table that is not there, one without a stream, and one whose stream is switched off", async () => {
  const { server, check } = ground();
  for (const table of ["named", "pattern-a", "off"]) server.createTable(table, { stream: table === "off" });
  server.disable("off");

  const found = await check({ tables: ["named", "gone", "pattern-*", "off"] });
  expect(brief(found)).toEqual([
    ["ok", "PERMISSION_MISSING", "rights"],
    ["fail", "TABLE_NOT_FOUND", "table gone"],
    ["fail", "STREAM_DISABLED", "table named"],
    ["warn", "STREAM_DISABLED", "table pattern-a"],
    ["warn", "STREAM_DISABLED", "table off"],
  ]);
  for (const { level, fix } of found) expect(fix === undefined).toBe(level === "ok");
});

test("view types that lack images are told, with what each lacks", async () => {
  const { server, check } = ground();
  for (const [table, view] of [
    ["keys", "KEYS_ONLY"],
    ["new", "NEW_IMAGE"],
    ["old", "OLD_IMAGE"],
  ] as const) {
    server.views.set(table, view);
    server.createTable(table);
  }
  const found = await check({ tables: ["keys", "new", "old"] });
  expect(found.filter(({ code }) => code === "IMAGES_LEFT_OUT").map(({ level, message }) => [level, message])).toEqual([
    ["warn", "its stream is KEYS_ONLY: events lack before and after"],
    ["warn", "its stream is NEW_IMAGE: events lack before"],
    ["warn", "its stream is OLD_IMAGE: events lack after"],
  ]);
});

test("items that expire are told, and a worker that may not ask for that is none the worse", async () => {
  const { server, check } = ground();
  server.createTable("carts");
  server.expiry.set("carts", "expiresAt");
  expect(await check({ tables: ["carts"] })).toContainEqual({
    ...{ level: "ok", code: "TTL", subject: "table carts" },
    message: 'items expire by expiresAt: their deletes come with "reason":"ttl", some time after that',
  });
  server.before = (operation) => {
    if (operation === "expiry") denial();
  };
  expect(brief(await check({ tables: ["carts"] }))).toEqual([
    ["ok", "PERMISSION_MISSING", "rights"],
    ["ok", "TABLE_NOT_FOUND", "tables"],
  ]);
});

test("a global table is to be read in one region, and is told where two sources read it in two", async () => {
  const { server, check } = ground((api) => ({
    ...api,
    describeTable: async (table) => ({ ...(await api.describeTable(table)), replicas: ["eu-west-1", "us-east-1"] }),
  }));
  server.createTable("carts");
  const one = await check({ tables: ["carts"] }, { others: { other: { tables: ["orders"], region: "us-east-1" } } });
  expect(one.find(({ code }) => code === "GLOBAL_TABLE")).toMatchObject({
    level: "ok",
    message: expect.stringContaining("replicas in us-east-1: the stream of eu-west-1 has the writes of all regions"),
  });
  const two = await check({ tables: ["carts"] }, { others: { other: { tables: ["c*"], region: "us-east-1" } } });
  expect(two.find(({ code }) => code === "GLOBAL_TABLE")).toMatchObject({
    level: "warn",
    message: expect.stringContaining("the source other reads it in another region"),
    fix: expect.stringContaining("in one region alone"),
  });
});

test("requests that are put off again and again are told with who else may read", async () => {
  const { server, check } = ground();
  server.createTable("carts");
  server.before = (operation) => {
    if (operation === "records") throw new ServerError("throttled", "too many");
  };
  const found = await check({ tables: ["carts"] });
  expect(found.find(({ level }) => level === "warn")).toMatchObject({
    code: "SOURCE_THROTTLED",
    message: "requests for carts were put off again and again",
    fix: expect.stringContaining("No more than two readers"),
  });
});

test.each([
  ["UnrecognizedClientException", {}, "CREDENTIALS_REFUSED"],
  ["ExpiredTokenException", {}, "CREDENTIALS_REFUSED"],
  ["Error", {}, "SOURCE_UNREACHABLE"],
])("%s is one finding about the endpoint", async (name, more, code) => {
  const { server, check } = ground();
  server.createTable("carts");
  server.before = () => {
    throw translateThrown(Object.assign(new Error("it is so"), { name, code: "ECONNREFUSED", ...more }));
  };
  expect(await check({ tables: ["carts"] })).toMatchObject([
    { level: "fail", code, subject: "endpoint", fix: expect.any(String) },
  ]);
});

/** A source that has read its table up to its first record. */
async function read(rest = () => {}) {
  const made = ground();
  const { server, clock } = made;
  server.createTable("carts");
  server.put("carts", "a");
  const config = made.connector.parse({ tables: ["carts"], start: "earliest" }, "sources.shop");
  const api = server.connect();
  const tables = [await api.describeTable("carts")];
  const saved = await beginRecord({ api, config, tables, now: new Date(clock.wall()).toISOString() });
  const { label, shards } = server.streamOf("carts");
  const partition = partitionOf({ table: "carts", label, shard: shards[0]?.id ?? "" });
  const number = shards[0]?.records[0]?.dynamodb.SequenceNumber;
  const stored = new Map([[partition, new PositionFormat(partition).format({ number, step: Step.record })]]);
  rest();
  return { ...made, placeOf: async () => (await made.check({ tables: ["carts"] }, { saved, stored })).at(-1) };
}

test("the place in the streams: nothing waits, something does, and it is late", async () => {
  const { server, clock, placeOf } = await read();
  expect(await placeOf()).toMatchObject({
    level: "ok",
    message: "nothing waits in 1 shard that is not read to the end",
  });
  server.put("carts", "b");
  clock.advance(3 * HOUR_MS - 60_000);
  expect(await placeOf()).toMatchObject({
    ...{ level: "ok", subject: "place in the streams" },
    message: expect.stringMatching(
      /^what comes next is there, in 1 shard .*: the oldest of it is 3 h old, 21 h are left$/,
    ),
  });
  clock.advance(17 * HOUR_MS);
  expect(await placeOf()).toMatchObject({
    ...{ level: "warn", code: "STREAM_LOST_SOON" },
    fix: expect.stringContaining("docs/operations/stream-retention.md"),
  });
});

test.each([
  ["trimmed", false, "SHARD_TRIMMED"],
  ["gone with its shard", true, "SHARD_EXPIRED"],
])("the place in the streams: what comes next is %s", async (_, gone, code) => {
  const { server, placeOf } = await read();
  server.put("carts", "b");
  server.roll("carts");
  server.trim("carts", gone);
  expect(await placeOf()).toMatchObject({
    ...{ level: "fail", code, subject: "place in the streams" },
    fix: expect.stringMatching(/--adopt.*docs\/operations\/shard-lost\.md/),
  });
});
