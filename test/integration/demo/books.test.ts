// The demo's two counts of what was committed, its writer's and the database's own, agree before anything is compared.

import { describe, expect, test } from "vitest";
import { SlotLog } from "../../../src/demo/postgres/independent-log.ts";
import { shopTables } from "../../../src/demo/postgres/shop.ts";
import { writeShop } from "../../../src/demo/postgres/writer.ts";
import type { ShopChange } from "../../../src/demo/shop-database.ts";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { freshDatabase, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("the demo's books", () => {
  test("the ledger counts what the log tells, rolled back work left out", async () => {
    await using database = await freshDatabase();
    const client = await database.connect();
    const ledger = async (): Promise<{ entries: number; changes: number } | undefined> =>
      (
        await database.query<{ entries: number; changes: number }>(
          "select count(*)::int as entries, coalesce(sum(changes), 0)::int as changes from ledger.entries",
        )
      )[0];
    await client.query(`${migrationSql("outbox")}; ${shopTables}`);
    const log = await SlotLog.start(client);
    const enough = new AbortController();

    const writing = writeShop(database.url, enough.signal);
    await waitFor(async () => ((await ledger())?.entries ?? 0) > 200, { what: "200 transactions" });
    enough.abort();
    await writing;

    const changes: ShopChange[] = await log.read();
    expect(changes.length).toBe((await ledger())?.changes);
    expect(new Set(changes.map(({ table, op }) => `${table}.${op}`))).toEqual(
      new Set([
        "customers.created",
        "products.updated",
        "orders.created",
        "orders.updated",
        "order_items.created",
        "order_items.deleted",
        "orders.deleted",
        "order.placed",
        "order.paid",
      ]),
    );
    expect(new Set(changes.map(({ transaction, table, op, id }) => `${transaction}/${table}/${op}/${id}`)).size).toBe(
      changes.length,
    );
    await client.end();
  });
});
