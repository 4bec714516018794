// A row before that a trigger or a pattern reads, and that a table's replica identity keeps out of the log: the start is refused
// by name, with the statement that mends it.

import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { startWorker } from "../../../../src/app.ts";
import { resolveConfig } from "../../../../src/config/resolve.ts";
import { connectors, imageRefusals } from "../../../../src/connectors.ts";
import { type Automation, automation, collection, fromDrizzle, type Trigger } from "../../../../src/index.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { missing } from "../../../support/servers.ts";

interface Item {
  readonly id: string;
  readonly Stock: number;
  readonly note: string | null;
}
const items = collection<Item>("shop", 'public.The "Items"');
const nothing = (): void => {};

describe.skipIf(missing("postgres"))("a row before", () => {
  const fixture = postgresFixture("create schema other");

  const make = (more = "") =>
    fixture.database.query(
      `create table "The ""Items"""(id bigint primary key, "Stock" int not null, note text ${more})`,
    );
  const run = async (sql = ""): Promise<void> => {
    for (const statement of sql.split("\n")) await fixture.database.query(statement);
  };
  const config = (automations: readonly Automation[]) => ({
    bus: { servers: "nats://127.0.0.1:1", fsync: "always" },
    sources: { shop: { kind: "postgres", url: fixture.database.url, tables: ["public.*"] } },
    automations,
  });
  const refusals = async (on: Trigger | readonly Trigger[], where?: object) => {
    const defined = automation("low", { on, ...(where && { where: where as never }) }, nothing);
    const found = await imageRefusals(resolveConfig(config([defined]), connectors), [defined]);
    return found.map(({ error }) => error);
  };

  test("that crosses compares refuses the start, and what it says to run mends it", async () => {
    await make();
    const low = automation("low", { on: items.crosses("Stock", { below: 10 }) }, nothing);
    await expect(startWorker(config([low]))).rejects.toMatchObject({
      code: "AUTOMATION_IMAGES",
      message:
        'low: its trigger reads before of public.The "Items" of the source shop, which events do not carry: its replica identity is not FULL',
      hint: 'ALTER TABLE "public"."The ""Items""" REPLICA IDENTITY FULL; -- doubles the log of its updates',
    });
    const [refusal] = await refusals(items.crosses("Stock", { below: 10 }));
    await run(refusal?.hint);
    expect(await refusals(items.crosses("Stock", { below: 10 }))).toEqual([]);
  });

  test.each<readonly [string, Trigger, object | undefined]>([
    ["a column that changed", items.changed("note"), undefined],
    ["where a column went to", items.updated({ column: "note", to: "x" }), undefined],
    ["where it came from", items.updated({ column: "note", from: "x" }), undefined],
    ["a pattern on it", items.updated(), { before: { note: ["x"] } }],
    ["a handler that says so", items.updated({ images: ["before"] }), undefined],
    ["a pattern on what was deleted", items.deleted(), { before: { note: ["x"] } }],
  ])("is lacking for %s", async (_what, on, where) => {
    await make();
    expect(await refusals(on, where)).toEqual([expect.objectContaining({ code: "AUTOMATION_IMAGES" })]);
    await fixture.database.query(`alter table "The ""Items""" replica identity full`);
    expect(await refusals(on, where)).toEqual([]);
  });

  test.each<readonly [string, Trigger, object | undefined]>([
    ["an update as such", items.updated(), { after: { note: ["x"] } }],
    ["what was created", items.created(), { after: { note: ["x"] } }],
    ["what was deleted", items.deleted(), undefined],
    ["the key of what was deleted", items.deleted({ images: ["before"] }), { before: { id: ["1"] } }],
    [
      "a pattern of which a branch needs none",
      items.updated(),
      { $or: [{ before: { note: ["x"] } }, { after: { note: ["x"] } }] },
    ],
    ["a truncated table", items.truncated(), undefined],
    ["a table that is not read", collection("shop", "other.items").changed("note"), undefined],
  ])("is not lacking for %s", async (_what, on, where) => {
    await make();
    expect(await refusals(on, where)).toEqual([]);
  });

  test("is as whole as the index that is the table's identity, by drizzle's names too", async () => {
    await make(', constraint by_stock unique ("Stock")');
    await fixture.database.query(`alter table "The ""Items""" replica identity using index by_stock`);
    const gone = fromDrizzle(
      "shop",
      pgTable('The "Items"', { id: integer().primaryKey(), theStock: integer("Stock"), note: text() }),
    ).deleted();

    expect(await refusals(gone, { before: { theStock: [1] } })).toEqual([]);
    expect(await refusals(items.deleted(), { before: { Stock: [1] } })).toEqual([]);
    expect(await refusals(gone, { before: { note: ["x"] } })).toMatchObject([
      { message: expect.stringContaining("its where reads before.note of public.") },
    ]);
  });

  test("of a partitioned table is there once each partition has it, and the statements name each that has not", async () => {
    const names = '"The ""Items"""';
    await run(`create table ${names}(id bigint primary key, "Stock" int not null, note text) partition by range (id)
create table low_ids partition of ${names} for values from (0) to (10)
create table high_ids partition of ${names} for values from (10) to (20)
alter table low_ids replica identity full`);
    const [refusal] = await refusals(items.changed("note"));
    expect(refusal?.hint?.split("\n")).toEqual([
      'ALTER TABLE "public"."The ""Items""" REPLICA IDENTITY FULL;',
      'ALTER TABLE "public"."high_ids" REPLICA IDENTITY FULL; -- doubles the log of its updates',
    ]);
    await run(refusal?.hint);
    expect(await refusals(items.changed("note"))).toEqual([]);
  });
});
