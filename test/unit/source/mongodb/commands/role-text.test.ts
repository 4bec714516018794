// What `millrace sql role` prints of a MongoDB source, as mongosh would run it.

import { createContext, runInContext } from "node:vm";
import { expect, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { roleText } from "../../../../../src/source/mongodb/commands/role-text.ts";
import { parseMongoConfig } from "../../../../../src/source/mongodb/options/config.ts";

interface Ran {
  readonly database: string;
  readonly call: string;
  readonly argument: unknown;
}

/** What the text does, when it is run by a shell that has only what mongosh has. */
function ran(section: Readonly<Record<string, unknown>>): { readonly text: string; readonly calls: readonly Ran[] } {
  const calls: Ran[] = [];
  const record =
    (database: string, call: string) =>
    (argument: unknown): void =>
      void calls.push({ database, call, argument: JSON.parse(JSON.stringify(argument)) });
  const db = {
    getSiblingDB: (name: string) =>
      Object.fromEntries(["createRole", "createUser", "runCommand"].map((call) => [call, record(name, call)])),
  };
  const config = parseMongoConfig({ url: "mongodb://127.0.0.1/?replicaSet=rs0", ...section }, "sources.shop");
  const text = roleText("shop" as SourceId, config).join("\n");
  runInContext(text, createContext({ db, passwordPrompt: () => "typed" }));
  return { text, calls };
}
const privileges = ({ calls }: { readonly calls: readonly Ran[] }) =>
  ((calls[0] as Ran).argument as { privileges: { resource: object; actions: string[] }[] }).privileges;

test("a role that reads its database and follows its changes, writes nothing, and a user that has it", () => {
  const { text, calls } = ran({ database: "shop" });

  expect(calls.map(({ database, call }) => `${database}.${call}`)).toEqual(["admin.createRole", "admin.createUser"]);
  expect(privileges({ calls })).toEqual([
    { resource: { db: "shop", collection: "" }, actions: ["find", "changeStream", "listCollections"] },
    { resource: { db: "local", collection: "oplog.rs" }, actions: ["find", "collStats"] },
    { resource: { cluster: true }, actions: ["replSetGetConfig"] },
    { resource: { db: "config", collection: "version" }, actions: ["find"] },
  ]);
  expect(calls[1]?.argument).toEqual({
    user: "millrace",
    pwd: "typed",
    roles: [{ role: "millrace_shop", db: "admin" }],
  });
  expect(text).not.toMatch(/collMod|insert|update|remove/);
});

test("several databases need the right to all of the cluster, for they are one stream of it", () => {
  expect(privileges(ran({ databases: ["shop", "crm"] })).slice(0, 3)).toEqual([
    { resource: { db: "shop", collection: "" }, actions: ["find", "changeStream", "listCollections"] },
    { resource: { db: "crm", collection: "" }, actions: ["find", "changeStream", "listCollections"] },
    { resource: { db: "", collection: "" }, actions: ["find", "changeStream"] },
  ]);
});

test("the user is the url's, in the database that knows it, and its password is never printed", () => {
  const { text, calls } = ran({ url: "mongodb://wor%40ker:s3cret-word@a,b/app?replicaSet=rs0", database: "shop" });

  expect(calls[1]).toMatchObject({ database: "app", argument: { user: "wor@ker" } });
  expect(text).not.toContain("s3cret");
});

test("images that are asked for come with collMod for each collection that is named", () => {
  const images = { before: "stored" };
  const { text, calls } = ran({ database: "shop", collections: ["orders", "a*", "!b"], images });

  expect(calls.slice(2)).toEqual([
    {
      database: "shop",
      call: "runCommand",
      argument: { collMod: "orders", changeStreamPreAndPostImages: { enabled: true } },
    },
  ]);
  expect(text).toMatch(/\/\/ the statement for each collection of "a\*": npx millrace check$/);
});
