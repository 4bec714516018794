// `millrace check` of a real primary with a real standby: what keeps a failover from going well is seen, mended, and gone.

import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import { describe, expect, test } from "vitest";
import { startPostgres } from "../../../../../src/dev/postgres.ts";
import { findingsOf, runFix, wrong } from "../../../../support/postgres/findings.ts";
import { openShop } from "../../../../support/postgres/reader.ts";
import { type Database, freshDatabase, freshPostgres, missing, scratchDir } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("checking a primary with a standby", () => {
  test("until its slot goes along: unmarked, not awaited, no feedback, and one that is waited for in vain", async () => {
    const server = await freshPostgres();
    await using database = await freshDatabase(server);
    await database.query("create table orders(id int primary key)");
    await database.query("select pg_create_physical_replication_slot('standby', true)");
    expect(await failover(database)).toEqual([]);

    await server.stop();
    const dataDir = join(await scratchDir(), "standby");
    execFileSync("cp", ["-a", server.dataDir, dataDir]); // with its owner
    await server.restart();
    writeFileSync(join(dataDir, "standby.signal"), "");
    chmodSync(join(dataDir, "standby.signal"), 0o666); // the server may be another user's
    await using standby = await startPostgres({
      dataDir,
      settings: {
        fsync: "off",
        primary_conninfo: `${conninfo(server.port)} dbname=postgres`,
        primary_slot_name: "standby",
        wal_receiver_status_interval: "1s",
      },
    });
    const replica = new Client({ connectionString: standby.url });
    replica.on("error", () => {}); // it ends with its server
    await replica.connect();
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    await database.query("create publication millrace_shop for table orders");

    await waitFor(async () => (await failover(database)).length === 3, { what: "the standby to read" });
    for (const code of ["FAILOVER_LOSES_SLOT", "FAILOVER_NOT_AWAITED", "FAILOVER_NO_FEEDBACK"]) {
      const [finding] = await wrong(database.url, code);
      expect(finding?.level).toBe("warn");
      if (code === "FAILOVER_LOSES_SLOT") await replicating(database, finding?.fix);
      else if (code === "FAILOVER_NOT_AWAITED") await runFix(database, finding?.fix);
      else
        for (const line of finding?.fix?.split("\n") ?? []) await replica.query(line.replace("On that standby: ", ""));
      await waitFor(async () => (await wrong(database.url, code)).length === 0, { what: `${code} to be gone` });
    }
    expect(await failover(database)).toEqual([]);
    expect(await findingsOf(standby.url)).toContainEqual(expect.objectContaining({ code: "SERVER_STANDBY" }));
    expect(await wrong(database.url, "SERVER_STANDBY")).toEqual([]); // with the primary's address, as its fix says

    await replica.end();
    await standby.stop();
    const stalled = await waitFor(async () => (await wrong(database.url, "FAILOVER_STALLED"))[0], { what: "a stall" });
    expect(stalled.level).toBe("warn");
    await runFix(database, stalled.fix);
    await waitFor(async () => (await wrong(database.url, "FAILOVER_STALLED")).length === 0, { what: "its end" });
  });

  test("a standby that was never there stops the source at its start; a slot of ours is made to go along", async () => {
    const server = await freshPostgres();
    await using database = await freshDatabase(server);
    await database.query("create table orders(id int primary key)");
    await database.query("alter system set synchronized_standby_slots = 'nobody'");
    await database.query("select pg_reload_conf()");
    const stalled = await waitFor(async () => (await wrong(database.url, "FAILOVER_STALLED"))[0], { what: "a stall" });
    expect(stalled.level).toBe("fail");
    await expect(openShop(database.url)).rejects.toMatchObject({ code: "FAILOVER_STALLED" });

    await runFix(database, stalled.fix);
    await waitFor(async () => (await wrong(database.url, "FAILOVER_STALLED")).length === 0, { what: "its end" });
    await using _source = await openShop(database.url);
    expect(await database.query("select failover from pg_replication_slots")).toEqual([{ failover: true }]);
  });
});

async function failover(database: Database): Promise<readonly string[]> {
  const found = await findingsOf(database.url);
  return found.filter(({ code, level }) => code.startsWith("FAILOVER") && level !== "ok").map(({ code }) => code);
}

function conninfo(port: number): string {
  return `host=127.0.0.1 port=${port} user=postgres`;
}

/** As psql does with `replication=database`. */
async function replicating(database: Database, fix: string | undefined): Promise<void> {
  const client = new Client({ connectionString: database.url, replication: "database" } as ClientConfig);
  await client.connect();
  try {
    await client.query((fix ?? "").replace(/;.*/, ""));
  } finally {
    await client.end();
  }
}
