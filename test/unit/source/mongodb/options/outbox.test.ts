// The option outbox of a MongoDB source: what may be written, and what the server is asked for.

import { expect, test } from "vitest";
import { outboxRefusal, outboxText } from "../../../../../src/source/mongodb/check/outbox.ts";
import { matchOf } from "../../../../../src/source/mongodb/client/change-cursor.ts";
import { collectionRules } from "../../../../../src/source/mongodb/options/collection-rules.ts";
import { parseMongoConfig } from "../../../../../src/source/mongodb/options/config.ts";
import { streamSettings } from "../../../../../src/source/mongodb/options/stream-settings.ts";

const section = (outbox: unknown, more: object = {}): object => ({
  url: "mongodb://127.0.0.1/",
  database: "shop",
  outbox,
  ...more,
});
const parse = (...options: Parameters<typeof section>) => parseMongoConfig(section(...options), "sources.shop");

test.each<[string, unknown, object, string]>([
  ["a name with $", { collection: "out$box" }, {}, "sources.shop.outbox.collection: expected the name of a collection"],
  ["an empty name", { collection: "" }, {}, "sources.shop.outbox.collection: expected the name of a collection"],
  ["the server's own", { collection: "system.views" }, {}, "none of the server's own"],
  [
    "a database before it",
    { collection: "shop.outbox" },
    {},
    'expected the collection\'s name without its database: "outbox"',
  ],
  [
    "one that is left out",
    { collection: "outbox" },
    { collections: ["*", "!out*"] },
    '"!out*" of collections leaves it out',
  ],
  ["what Postgres takes", true, {}, 'sources.shop.outbox: expected { collection: "outbox" }'],
  ["no name", {}, {}, "sources.shop.outbox.collection"],
])("%s is refused, with what is wrong", (_, outbox, more, message) => {
  expect(() => parse(outbox, more)).toThrow(message);
  expect(() => parse(outbox, more)).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", hint: expect.any(String) }),
  );
});

test("an unknown option beside the name is refused", () => {
  expect(() => parse({ collection: "outbox", keep: "7d" })).toThrow(
    expect.objectContaining({ code: "CONFIG_UNKNOWN_KEY", message: expect.stringContaining("outbox.keep") }),
  );
});

test("a name with dots is one like any other", () => {
  expect(parse({ collection: "app.outbox" }).outbox).toEqual({ collection: "app.outbox" });
});

test("the outbox is read whatever the patterns name, and never as changes", () => {
  const rules = collectionRules(parse({ collection: "outbox" }, { collections: ["orders"] }));
  expect([rules.isOutbox("shop", "outbox"), rules.reads("shop", "outbox")]).toEqual([true, false]);
  expect([rules.isOutbox("other", "outbox"), rules.reads("shop", "orders")]).toEqual([false, true]);
  expect(collectionRules(parse(undefined)).reads("shop", "outbox")).toBe(true);
});

test("of the outbox the server is asked for what is inserted alone", () => {
  const of = (database: object): object =>
    streamSettings(parseMongoConfig({ url: "mongodb://h/", outbox: { collection: "outbox" }, ...database }, "x")).match;
  const ddl = { operationType: { $nin: ["insert", "update", "replace", "delete"] } };
  const rest = [{ $or: [{ "ns.coll": { $regex: "^.*$", $options: "s" } }] }, { "ns.coll": { $ne: "outbox" } }];
  const inserts = [{ operationType: "insert" }, { "ns.coll": "outbox" }];
  const within = { "ns.db": { $in: ["a", "b"] } };
  expect(of({ database: "a" })).toEqual({ $or: [ddl, { $and: rest }, { $and: inserts }] });
  expect(of({ databases: ["a", "b"] })).toEqual({
    $or: [ddl, { $and: [...rest, within] }, { $and: [...inserts, within] }],
  });
  expect(matchOf(["a"], [{ "ns.coll": { $regex: "^.*$", $options: "s" } }], [])).toEqual({
    $or: [ddl, { $and: [rest[0]] }],
  });
});

test("one that is nowhere is refused, with the command that makes it", () => {
  const config = parse({ collection: "outbox" });
  expect(outboxRefusal(config, ["shop"])).toBeUndefined();
  expect(outboxRefusal(parse(undefined), [])).toBeUndefined();
  expect(outboxRefusal(config, [])).toMatchObject({
    code: "OUTBOX_NOT_FOUND",
    message: "there is no collection outbox for the outbox in shop",
    hint: expect.stringContaining('db.getSiblingDB("shop").createCollection("outbox")'),
  });
});

test("its text makes the collection, and lets its documents expire, in each database", () => {
  expect(outboxText(parse({ collection: 'a"b' })).join("\n")).toContain('createCollection("a\\"b")');
  const text = outboxText(
    parseMongoConfig({ url: "mongodb://h/", databases: ["a", "b"], outbox: { collection: "o" } }, "x"),
  );
  for (const database of ["a", "b"]) {
    expect(text).toContain(`db.getSiblingDB("${database}").createCollection("o");`);
    expect(text.join("\n")).toContain(
      `db.getSiblingDB("${database}").getCollection("o").createIndex({ created_at: 1 }, { expireAfterSeconds: 604800 });`,
    );
  }
  expect(outboxText(parse(undefined))).toEqual([expect.stringContaining('outbox: { collection: "outbox" }')]);
});
