// The outbox of a source over a DynamoDB that a test writes down: what is read, refused and told of.

import { expect, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { outboxText } from "../../../../../src/source/dynamodb/check/outbox.ts";
import { ServerError, translateThrown } from "../../../../../src/source/dynamodb/client/errors.ts";
import { createDynamoConnector } from "../../../../../src/source/dynamodb/connector.ts";
import type { Finding } from "../../../../../src/telemetry/finding.ts";
import { contextOf, type Memory } from "../../../../contract/source/source-ground.ts";
import { SourceReading } from "../../../../contract/source/source-reading.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualTime } from "../../../../support/virtual-time.ts";

const KEYS = [
  { name: "aggregateid", type: "S" },
  { name: "aggregatetype", type: "S" },
] as const;
const ID = "0b5c2a54-6a1e-4b52-9a0d-5f6f9c3e7a10";
let made = 0;

function ground(section: object = {}) {
  const time = new VirtualTime();
  const server = new ScriptedDynamo(`outbox${++made}`, time.clock);
  server.createTable("carts");
  server.createTable("box");
  server.keys.set("box", KEYS);
  const connector = createDynamoConnector({ connect: async () => server.connect(), clock: time.clock });
  const config = connector.parse({ tables: ["carts"], outbox: { table: "box" }, ...section }, "sources.shop");
  const memory: Memory = { value: undefined };
  const shop = "shop" as SourceId;
  const check = async (): Promise<readonly Finding[]> => {
    const findings: Finding[] = [];
    const context = { saved: undefined, others: new Map(), signal: new AbortController().signal };
    const all = (async () => {
      for await (const finding of connector.check(shop, config, context)) findings.push(finding);
    })();
    await time.when(all);
    return findings.filter(({ code, subject }) => code.startsWith("OUTBOX") || subject.includes("box"));
  };
  const open = (more: object = {}) => {
    const other = connector.parse({ tables: ["carts"], outbox: { table: "box" }, ...section, ...more }, "sources.shop");
    return time.when(connector.open(shop, other, contextOf(memory)));
  };
  const until = (what: () => boolean): Promise<void> =>
    time.when(
      (async () => {
        for (let left = 100_000; !what(); left--) {
          if (left === 0) throw new Error("it never came to that");
          await time.clock.sleep(10);
        }
      })(),
    );
  const preflight = () => time.when(connector.preflight(shop, config, contextOf(memory)));
  return { time, server, connector, config, check, open, preflight, until };
}

test("an outbox is read beside the tables, as events and never as a collection", async () => {
  const { time, server, connector, config, open } = ground();
  await using source = await open();
  const reading = new SourceReading(source, undefined);
  const item = { aggregateid: { S: "7" }, aggregatetype: { S: "cart" }, type: { S: "filled" }, payload: { S: "[1]" } };
  const { aggregateid, aggregatetype } = item;
  server.put("box", ID, "", { Keys: { aggregateid, aggregatetype }, NewImage: { ...item, id: { S: ID } } });
  server.put("carts", "c1");
  await time.when(
    (async () => {
      while (reading.messages.filter(({ type }) => type === "domain" || type === "change").length < 2)
        await time.clock.sleep(10);
    })(),
  );
  const domain = reading.messages.find(({ type }) => type === "domain");
  expect(domain).toMatchObject({ id: ID, aggregate: "cart", name: "filled", key: "7" });
  expect(reading.changes.map(({ key }) => key)).toEqual(["c1"]);
  expect(await time.when(connector.collections("shop" as SourceId, config))).toEqual([
    { namespace: "_", name: "carts" },
  ]);
});

test.each<[string, (server: ScriptedDynamo) => void, string, RegExp]>([
  [
    "is not there",
    (server) => void server.double.state.tables.delete("box"),
    "OUTBOX_NOT_FOUND",
    /create-table --table-name box .*KeyType=HASH .*StreamViewType=NEW_AND_OLD_IMAGES$/,
  ],
  [
    "has no stream",
    (server) => {
      server.double.state.table("box").stream = undefined;
    },
    "STREAM_DISABLED",
    /update-table --table-name box/,
  ],
  [
    "has a stream without the images",
    (server) => void server.views.set("box", "NEW_IMAGE"),
    "OUTBOX_IMAGES",
    /StreamEnabled=false, then .*StreamViewType=NEW_AND_OLD_IMAGES$/,
  ],
])("a first start is refused where the outbox %s, and check says what mends it", async (_, change, code, fix) => {
  const { server, check, preflight } = ground();
  change(server);
  await expect(preflight()).rejects.toMatchObject({ code, hint: expect.stringMatching(fix) });
  expect(await check()).toMatchObject([{ level: "fail", code, subject: "table box", fix: expect.stringMatching(fix) }]);
});

test("a source that was read before goes on without its outbox, says so, and reads it once it is there", async () => {
  const { server, open, until } = ground();
  await (await open())[Symbol.asyncDispose]();
  const table = "late";
  await using source = await open({ outbox: { table } });
  expect(source.notices()).toMatchObject([
    { code: "OUTBOX_NOT_FOUND", message: "there is no table late for the outbox" },
  ]);
  const reading = new SourceReading(source, undefined);
  await until(() => reading.started);
  server.keys.set(table, KEYS);
  server.createTable(table);
  const item = { aggregateid: { S: "7" }, aggregatetype: { S: "cart" }, type: { S: "filled" }, payload: { S: "[1]" } };
  const { aggregateid, aggregatetype } = item;
  server.put(table, ID, "", { Keys: { aggregateid, aggregatetype }, NewImage: { ...item, id: { S: ID } } });
  await until(() => reading.messages.some(({ type }) => type === "domain"));
  await until(() => source.notices().length === 0);
});

test("a source that was read before says for as long as it runs that its outbox lacks images", async () => {
  const { time, server, open, until } = ground();
  await (await open())[Symbol.asyncDispose]();
  server.views.set("box", "NEW_IMAGE");
  await using source = await open({ tables: ["c*"] });
  const reading = new SourceReading(source, undefined);
  await until(() => reading.started);
  const started = time.clock.now();
  await until(() => time.clock.now() - started > 120_000);
  expect(source.notices()).toMatchObject([{ code: "OUTBOX_IMAGES" }]);
});

test("check warns where nothing takes the outbox's items away, and where an aggregate is several items", async () => {
  const { server, check } = ground({ region: "eu-west-1" });
  server.keys.set("box", [{ name: "id", type: "S" }]);
  expect(await check()).toMatchObject([
    { level: "warn", code: "OUTBOX_ORDER", subject: "outbox box" },
    {
      level: "warn",
      code: "OUTBOX_GROWS",
      message: expect.stringContaining("nothing takes its items away"),
      fix: "aws dynamodb update-time-to-live --table-name box --time-to-live-specification Enabled=true,AttributeName=expires_at --region eu-west-1",
    },
  ]);
  server.expiry.set("box", "gone_at");
  expect(await check()).toMatchObject([
    { code: "OUTBOX_ORDER" },
    { code: "OUTBOX_GROWS", message: expect.stringContaining("its items expire by gone_at") },
  ]);
  server.expiry.set("box", "expires_at");
  server.keys.set("box", KEYS);
  expect(await check()).toMatchObject([{ level: "ok", code: "OUTBOX" }]);
});

test("check says nothing of expiry where it may not be asked", async () => {
  const { server, check } = ground();
  server.before = (operation) => {
    if (operation !== "expiry") return;
    throw translateThrown(Object.assign(new Error("no"), { name: "AccessDeniedException" }));
  };
  expect(await check()).toMatchObject([{ level: "ok", code: "OUTBOX" }]);
  server.before = (operation) => {
    if (operation === "expiry") throw new ServerError("away", "nobody answers");
  };
  expect(await check()).toEqual([]);
});

test("a pattern that leaves the outbox out is refused", () => {
  expect(() => ground({ tables: ["*", "!b*"] })).toThrow(
    expect.objectContaining({
      code: "CONFIG_INVALID",
      message: expect.stringContaining('"!b*" of tables leaves it out'),
    }),
  );
  expect(() => ground({ outbox: { table: "no table" } })).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
});

test("sql outbox prints what makes it, where it is, and lets its items expire", () => {
  const { config } = ground({ endpoint: "http://127.0.0.1:8000", profile: "it's mine" });
  expect(outboxText(config)).toEqual([
    expect.stringMatching(
      /^aws dynamodb create-table --table-name box .* --profile 'it'\\''s mine' --endpoint-url http:\/\/127\.0\.0\.1:8000$/,
    ),
    expect.stringMatching(/^aws dynamodb wait table-exists --table-name box /),
    expect.stringMatching(/^aws dynamodb update-time-to-live --table-name box .*AttributeName=expires_at /),
    "# whoever emits needs dynamodb:PutItem on it",
  ]);
  expect(outboxText({ ...config, outbox: undefined })).toEqual([expect.stringContaining("has no outbox")]);
});
