// The worker's own DDL and an application's migration: neither waits for the other while it holds what that one needs.

import type { Client } from "pg";
import { describe, expect, test } from "vitest";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { failureOf, TestMemory } from "../../../../support/postgres/reader.ts";
import { missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("publishing tables", () => {
  const fixture = postgresFixture("create table orders(id int primary key)");
  const untilWaiting = () =>
    waitFor(
      async () =>
        (await fixture.value(
          "select count(*)::int from pg_stat_activity where application_name = 'millrace shop' and wait_event_type = 'Lock'",
        )) === 1,
      { what: "the worker to wait for a lock" },
    );
  /** As a migration that takes its tables in another order. Of two that wait for each other it is the one to be ended. */
  const migrate = async (client: Client): Promise<void> => {
    await untilWaiting();
    await client.query("set deadlock_timeout = '10ms'");
    await client.query("alter table x add v int");
  };

  test("while the worker runs makes no migration a deadlock's victim", async () => {
    const { reading } = await fixture.begin({ options: { timeout: "600ms" } });
    const client = await fixture.database.connect();
    await client.query(`begin; create table x(id int primary key); create table y(id int primary key); commit;
      begin; alter table y add v int`);
    await migrate(client);
    await client.query("commit");
    await client.end();

    await waitFor(async () => (await fixture.published()) === "orders x y", { what: "both to be published" });
    await reading.stop();
  });

  test("at a first start makes none either: it is tried again, and what was reached is kept", async () => {
    const memory = new TestMemory();
    const client = await fixture.database.connect();
    await client.query("create table x(id int primary key); create table y(id int primary key)");
    await client.query("begin; alter table y add v int");
    const failed = failureOf(fixture.open({ memory }));
    await migrate(client);

    expect(await failed).toMatchObject({ name: "TransientError", code: "SOURCE_LOCKED" });
    await client.query("commit");
    await client.end();
    await fixture.open({ memory });
    expect(await fixture.published()).toBe("orders x y");
  });
});
