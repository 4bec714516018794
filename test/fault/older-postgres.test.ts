// Postgres 13, which is refused, and 14 to 17: the golden corpus, and the worker's tail with transactions of every shape, as on the installed 18.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import { describe, expect, inject, test } from "vitest";
import { startWorker } from "../../src/app.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { endClient } from "../../src/source/postgres/client/dial.ts";
import { SlotReporter } from "../../src/source/postgres/commands/slots.ts";
import type { Finding } from "../../src/telemetry/finding.ts";
import { countChanges } from "../support/bus/stream-events.ts";
import { assertGolden } from "../support/check/golden-file.ts";
import { deliverCorpus, HOSTILE } from "../support/check/golden-types.ts";
import { assertGuarantees } from "../support/check/guarantees.ts";
import { createTruthSlot } from "../support/check/truth.ts";
import { findingsOf, wrong } from "../support/postgres/findings.ts";
import { OLDER_POSTGRES } from "../support/postgres/older-postgres.ts";
import { TABLES, writeAtRandom } from "../support/postgres/random-writes.ts";
import { failureOf, openShop } from "../support/postgres/reader.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { runCommand } from "../support/process/run-command.ts";
import { freshDatabase, freshNats, freshPostgres, missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const TRANSACTIONS = 300;

describe.each(OLDER_POSTGRES)("%s", (name) => {
  test.skipIf(missing("postgres", "nats", name))(
    "delivers all types, and all that was committed, in order",
    async () => {
      const seed = Number(process.env.SEED ?? Date.now() % 1e6);
      console.error(`${name}: SEED=${seed}`);
      await using postgres = await freshPostgres({}, inject("olderPostgres")[name]);
      {
        await using types = await freshDatabase(postgres);
        assertGolden(await deliverCorpus(types, HOSTILE));
      }

      await using nats = await freshNats();
      await using database = await freshDatabase(postgres);
      await database.query(TABLES);
      const log = new RecordedLog();
      const truth = await createTruthSlot(database.url);
      const worker = await startWorker(
        {
          bus: { servers: nats.url, fsync: "always" },
          sources: { shop: { kind: "postgres", url: database.url, tables: ["public.*"] } },
        },
        { log },
      );
      await waitFor(() => log.count("source_started") > 0, { what: "the source to start" });
      const writers = writeAtRandom(database, seed);
      const written = async (): Promise<boolean> => {
        const [row] = await database.query<{ n: number }>(
          "select xact_commit::int as n from pg_stat_database where datname = current_database()",
        );
        return (row?.n ?? 0) > TRANSACTIONS;
      };
      await waitFor(written, { what: "some transactions", timeoutMs: 60_000 });
      await writers.stop();
      const committed = await truth.read();
      const arrived = async (): Promise<boolean> => (await countChanges(nats.url, "CDC_SHOP")) >= committed.length;
      await waitFor(arrived, { what: "the stream to hold all changes", timeoutMs: 60_000 });
      await worker.stop();

      expect(committed.length).toBeGreaterThan(TRANSACTIONS);
      await assertGuarantees({ truth: committed, natsUrl: nats.url, source: "shop" });
    },
  );
});

test.skipIf(missing("postgres14"))("a row filter is refused before Postgres 15, and nothing is made", async () => {
  await using database = await freshDatabase(await freshPostgres({}, inject("olderPostgres").postgres14));
  await database.query("create table orders(id int primary key)");
  const options = { tables: [{ match: "public.orders", where: "id < 10" }] };

  expect(await failureOf(openShop(database.url, { options }))).toMatchObject({
    name: "ConfigError",
    code: "ROW_FILTER_REFUSED",
    message: expect.stringContaining("row filters need Postgres 15"),
  });
  expect(await wrong(database.url, "ROW_FILTER_REFUSED", options)).toHaveLength(1);
  const made = "select 1 from pg_publication union all select 1 from pg_replication_slots";
  expect(await database.query(made)).toEqual([]);
});

test.skipIf(missing("postgres13"))(
  "check, start and slots say of Postgres 13 that it is too old, and nothing else",
  async () => {
    await using database = await freshDatabase(await freshPostgres({}, inject("olderPostgres").postgres13));
    await database.query("create table orders(id int primary key)");

    const failed = (await findingsOf(database.url)).filter(({ level }) => level === "fail");
    const message = "it is Postgres 13.23, older than 14";
    expect(failed).toEqual([expect.objectContaining({ code: "SERVER_TOO_OLD", message })]);
    const refusal = {
      name: "ConfigError",
      code: "SERVER_TOO_OLD",
      message: `server: ${message}`,
      hint: "Upgrade it: Millrace needs Postgres 14 or newer.",
    };
    expect(await failureOf(openShop(database.url))).toMatchObject(refusal);
    await using watch = new SlotReporter("shop" as SourceId, database);
    expect(await failureOf(watch.look())).toMatchObject(refusal);
    const cwd = await scratchDir();
    const sources = { shop: { kind: "postgres", url: database.url } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ sources }));
    const { code, stdout, stderr } = await runCommand(["slots"], { cwd });
    expect(code).toBe(2);
    expect(stdout).toContain(`server of shop: SERVER_TOO_OLD: server: ${message}`);
    expect(stderr).toContain("fix: Upgrade it: Millrace needs Postgres 14 or newer.");
  },
);

test.skipIf(missing("postgres16"))(
  "before Postgres 17 a standby never has the slot, and check says what keeps it",
  async () => {
    await using database = await freshDatabase(await freshPostgres({}, inject("olderPostgres").postgres16));
    await database.query("create table orders(id int primary key)");
    await database.query("select pg_create_physical_replication_slot('standby', true)");
    const standby = new Client({ connectionString: database.url, replication: "true" } as ClientConfig);
    standby.on("error", () => {}); // it ends with its server
    await standby.connect();
    const warned = (): Promise<readonly Finding[]> => wrong(database.url, "FAILOVER_LOSES_SLOT");

    expect(await warned()).toEqual([]);
    const [end] = await database.query<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn");
    const reading = standby.query(`START_REPLICATION SLOT standby PHYSICAL ${end?.lsn}`).catch(() => {}); // until it is closed
    await waitFor(async () => (await warned()).length === 1, { what: "the standby to read" });
    expect(await warned()).toMatchObject([{ level: "warn", fix: expect.stringContaining("pg_failover_slots") }]);
    await endClient(standby);
    await reading;
    await waitFor(async () => (await warned()).length === 0, { what: "the standby to be gone" });
  },
);
