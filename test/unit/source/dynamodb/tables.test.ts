// Which tables a source reads, by list, pattern and tag, as its options and the tables' tags change.

import { expect, test } from "vitest";
import type { Positions } from "../../../../src/event/positions.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import type { DynamoApi } from "../../../../src/source/dynamodb/client/api.ts";
import { translateThrown } from "../../../../src/source/dynamodb/client/errors.ts";
import { createDynamoConnector } from "../../../../src/source/dynamodb/connector.ts";
import { isTagged } from "../../../../src/source/dynamodb/facts/facts.ts";
import type { Finding } from "../../../../src/telemetry/finding.ts";
import { contextOf, type Memory } from "../../../contract/source/source-ground.ts";
import { SourceReading } from "../../../contract/source/source-reading.ts";
import { ScriptedDynamo } from "../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualTime } from "../../../support/virtual-time.ts";

const shop = "shop" as SourceId;
const ORDERS = { team: "orders" };
let made = 0;

function ground(...tables: readonly string[]) {
  const time = new VirtualTime();
  const server = new ScriptedDynamo(`tables${++made}`, time.clock);
  for (const table of tables) server.createTable(table);
  const connector = createDynamoConnector({ connect: async () => server.connect(), clock: time.clock });
  const memory: Memory = { value: undefined };
  const parse = (section: object) => connector.parse(section, "sources.shop");
  const until = (what: () => boolean): Promise<void> =>
    time.when(
      (async () => {
        for (let left = 100_000; !what(); left--) {
          if (left === 0) throw new Error("it never came to that");
          await time.clock.sleep(10);
        }
      })(),
    );
  const read = async (section: object, from?: Positions) => {
    const source = await time.when(connector.open(shop, parse(section), contextOf(memory, true)));
    const reading = new SourceReading(source, from);
    await until(() => reading.started || reading.over);
    return { source, reading };
  };
  const check = async (section: object): Promise<readonly Finding[]> => {
    const findings: Finding[] = [];
    const context = { saved: undefined, others: new Map(), signal: new AbortController().signal };
    const all = (async () => {
      for await (const finding of connector.check(shop, parse(section), context)) findings.push(finding);
    })();
    await time.when(all);
    return findings;
  };
  const collections = (section: object) => time.when(connector.collections(shop, parse(section)));
  return { time, server, until, read, parse, check, collections };
}

const keysOf = (reading: SourceReading): readonly string[] => reading.changes.map(({ key }) => key).sort();

test("of the tables that a pattern names those with all tags are read, and one that is named whatever its tags", async () => {
  const { server, until, read, collections } = ground("both", "team", "none", "other", "named");
  server.tags.set("both", { ...ORDERS, stage: "live", more: "x" });
  server.tags.set("team", ORDERS);
  server.tags.set("other", { team: "order", stage: "live" });
  const section = { tables: ["*", "named"], tags: { ...ORDERS, stage: "live" } };
  const { reading, source } = await read(section);
  for (const table of ["none", "other", "team", "named", "both"]) server.put(table, `of ${table}`);
  await until(() => reading.changes.length === 2);
  expect(keysOf(reading)).toEqual(["of%20both", "of%20named"]);
  expect((await collections(section)).map(({ name }) => name)).toEqual(["both", "named"]);
  await reading.stop();
  await source[Symbol.asyncDispose]();
});

test("a table that comes with its tags is taken in soon, and one that is tagged later within five minutes", async () => {
  const { time, server, until, read } = ground("first", "later");
  server.tags.set("first", ORDERS);
  const { reading, source } = await read({ tables: ["*"], tags: ORDERS });
  server.createTable("new");
  server.tags.set("new", ORDERS);
  server.put("new", "new");
  const came = time.clock.now();
  await until(() => keysOf(reading).includes("new"));
  expect(time.clock.now() - came).toBeLessThan(60_000);
  server.put("later", "before");
  server.tags.set("later", ORDERS);
  server.put("later", "after");
  const tagged = time.clock.now();
  await until(() => keysOf(reading).includes("after"));
  expect(time.clock.now() - tagged).toBeLessThan(330_000);
  expect(keysOf(reading)).toEqual(["after", "before", "new"]);
  await reading.stop();
  await source[Symbol.asyncDispose]();
});

test.each<[string, object, (server: ScriptedDynamo) => void, object, (server: ScriptedDynamo) => void]>([
  [
    "loses its tag",
    { tables: ["*"], tags: ORDERS },
    (server) => void server.tags.delete("b"),
    { tables: ["*"], tags: ORDERS },
    (server) => void server.tags.set("b", ORDERS),
  ],
  ["is left out by a pattern", { tables: ["*"] }, () => {}, { tables: ["*", "!b"] }, () => {}],
  ["is named no more", { tables: ["a", "b"] }, () => {}, { tables: ["a"] }, () => {}],
])(
  "a table that %s is not read from the next start on, and goes on at its place once it is again",
  async (_, wide, lose, narrow, regain) => {
    const { server, until, read } = ground("a", "b");
    for (const table of ["a", "b"]) server.tags.set(table, ORDERS);
    const first = await read(wide);
    server.put("b", "b1");
    await until(() => first.reading.changes.length === 1);
    await first.reading.stop();
    await first.source[Symbol.asyncDispose]();

    lose(server);
    const second = await read(narrow, first.reading.reached);
    server.put("b", "b2");
    server.put("a", "a1");
    await until(() => second.reading.changes.length === 1);
    await until(() => second.source.partitions?.().reading === 1);
    expect(keysOf(second.reading)).toEqual(["a1"]);
    await second.reading.stop();
    await second.source[Symbol.asyncDispose]();

    regain(server);
    const from = new Map([...(first.reading.reached ?? []), ...(second.reading.reached ?? [])]);
    const third = await read(wide, from);
    server.put("b", "b3");
    await until(() => third.reading.changes.length === 2);
    expect(keysOf(third.reading)).toEqual(["b2", "b3"]);
    await third.reading.stop();
    await third.source[Symbol.asyncDispose]();
  },
);

test("a table that has its tag again while the source runs goes on at its place", async () => {
  const { server, until, read } = ground("a", "b");
  for (const table of ["a", "b"]) server.tags.set(table, ORDERS);
  const section = { tables: ["*"], tags: ORDERS };
  const first = await read(section);
  server.put("b", "b1");
  await until(() => first.reading.changes.length === 1);
  await first.reading.stop();
  await first.source[Symbol.asyncDispose]();
  server.tags.delete("b");
  const second = await read(section, first.reading.reached);
  server.put("b", "b2");
  server.tags.set("b", ORDERS);
  await until(() => second.reading.changes.length === 1);
  expect(keysOf(second.reading)).toEqual(["b2"]);
  await second.reading.stop();
  await second.source[Symbol.asyncDispose]();
});

test("check tries whether tags may be asked", async () => {
  const { server, check } = ground("a", "b");
  server.tags.set("a", ORDERS);
  server.before = (operation) => {
    if (operation !== "tags") return;
    throw translateThrown(Object.assign(new Error("no"), { name: "AccessDeniedException" }));
  };
  const section = { tables: ["*"], tags: ORDERS };
  expect(await check(section)).toContainEqual(
    expect.objectContaining({
      level: "fail",
      code: "PERMISSION_MISSING",
      subject: "action dynamodb:ListTagsOfResource",
    }),
  );
  server.before = () => {};
  expect(await check(section)).toContainEqual(expect.objectContaining({ level: "ok", message: "1 is read now" }));
});

test("tags are read to the last page", async () => {
  const pages: Readonly<Record<string, { tags: Record<string, string>; next: string | undefined }>> = {
    "": { tags: { a: "1" }, next: "two" },
    two: { tags: { b: "2", __proto__x: "" }, next: undefined },
  };
  const api = { tags: async (_: string, after = "") => pages[after] } as unknown as DynamoApi;
  const table = { table: "t", arn: "arn" };
  const asked = (tags: Record<string, string>) => isTagged(api, { tables: ["*"], outbox: undefined, tags }, table);
  expect(await asked({ b: "2", a: "1" })).toBe(true);
  expect(await asked({ b: "3" })).toBe(false);
  expect(await asked({ toString: "" })).toBe(false);
});

test.each([
  [{ tables: ["a"], tags: ORDERS }, ".tags"],
  [{ tables: ["a", "!b*"], tags: ORDERS }, ".tags"],
  [{ tables: ["*"], tags: {} }, ".tags"],
  [{ tables: ["*"], tags: { "": "x" } }, ".tags"],
  [{ tables: ["*"], tags: { team: 1 } }, ".tags.team"],
])("the options %j are refused", (section, path) => {
  expect(() => ground().parse(section)).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(`sources.shop${path}`) }),
  );
});
