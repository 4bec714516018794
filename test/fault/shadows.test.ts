// A superuser's every command in a database where somebody has shadowed the functions and operators that our SQL names.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";
import { describe, expect, inject, test } from "vitest";
import { startWorker } from "../../src/app.ts";
import { automation } from "../../src/automation/define/automation.ts";
import { collection } from "../../src/automation/define/collection.ts";
import { TxDatabases } from "../../src/automation/run/tx-databases.ts";
import { realClock } from "../../src/clock.ts";
import { outbox, writeLineage } from "../../src/outbox.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import type { OlderPostgres } from "../support/postgres/older-postgres.ts";
import { installShadows, shadowRuns } from "../support/postgres/shadows.ts";
import { runCommand } from "../support/process/run-command.ts";
import { type Database, freshDatabase, freshNats, freshPostgres, missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const TABLES = `
  create type public.mood as enum ('happy', 'sad'); create domain public.positive as int check (value is not null);
  create table public.item(id int primary key, note text, mood public.mood);
  create table public.wide(id int8, part text, body text, primary key (id, part));
  create table public.parts(id int primary key) partition by range (id); create table public.part partition of public.parts default;
  create table public.effect(item int primary key)`;

describe.skipIf(missing("postgres", "nats"))("functions and operators of an attacker never run", () => {
  test.each([["18"], ["14"]])(
    "on Postgres %s, whatever a superuser does with Millrace",
    async (version) => {
      const older = version === "14" ? inject("olderPostgres")["postgres14" as OlderPostgres] : undefined;
      if (version === "14" && older === undefined) return expect.unreachable("Postgres 14 is missing");
      const server = older === undefined ? undefined : await freshPostgres({}, older);
      await using database = await freshDatabase(server);
      const before = await database.connect();
      await before.query(TABLES);
      await before.end();
      await installShadows(database);
      const nats = await freshNats();
      const cwd = await scratchDir();
      const url = database.url;
      const shop = {
        kind: "postgres",
        url,
        tables: ["public.*", { match: "public.wide", toast: "reselect" }],
        outbox: { keep: "1s" },
        messages: ["app"],
      };
      const config = { bus: { servers: nats.url, fsync: "always" }, sources: { shop } };
      await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
      let directory = cwd;
      const command = (...args: readonly string[]): Promise<string> => ended(0, args);
      const ended = async (exitCode: number, args: readonly string[]): Promise<string> => {
        const { code, stdout, stderr } = await runCommand(args, { cwd: directory });
        expect(code, `${args.join(" ")}: ${stdout}${stderr}`).toBe(exitCode);
        expect(`${stdout}${stderr}`, args.join(" ")).not.toMatch(/SHADOW|shadow/);
        expect(await shadowRuns(database), args.join(" ")).toBe(0);
        return stdout;
      };
      /** What is printed is run as it is, in a session like any other. */
      const printed = async (...args: readonly string[]): Promise<void> => {
        await run(
          database,
          (await command("sql", ...args)).replaceAll('TO "millrace"', 'TO "postgres"').replace(/^CREATE ROLE.*$/m, ""),
        );
        expect(await shadowRuns(database), args.join(" ")).toBe(0);
      };

      directory = await scratchDir();
      await command("init", "--url", url);
      directory = cwd;
      for (const what of ["outbox", "inbox", "publication", "event-triggers", "role"]) await printed(what);
      await command("check");
      await command("types");

      const pool = new Pool({ connectionString: url, max: 4 });
      const orm = drizzle({ client: pool });
      const handled: string[] = [];
      const items = collection<{ id: number }>("shop", "public.item");
      const effect = "insert into public.effect values ($1)";
      const automations = [
        automation("plain", { on: items.created(), db: pool, start: "earliest" }, async ({ event, tx }) => {
          await tx(async ({ client, emit }) => {
            await client.query(effect, [event.after.id]);
            await emit("item.seen", { key: event.after.id, data: null });
          });
          handled.push("plain");
        }),
        automation("drizzle", { on: items.created(), db: orm, start: "earliest" }, async ({ tx }) => {
          await tx(({ emit }) => emit("item.seen", { key: 1, data: null }));
          handled.push("drizzle");
        }),
      ];
      const worker = await startWorker({ ...config, automations }, { timing: { lagEveryMs: 200, guardEveryMs: 200 } });
      try {
        await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source" });
        const text = "x".repeat(20_000).replaceAll("x", () => Math.random().toString(36).slice(2, 4));
        await run(database, "insert into public.item values (1, 'a', 'happy'); insert into public.parts values (1)");
        await run(database, `insert into public.wide values (1, 'a', '${text}')`);
        await run(database, "update public.wide set id = 2");
        await run(database, "create table public.another(id int primary key); drop table public.another");
        for (const mode of ["delete", "keep", "message"]) {
          await run(
            database,
            `set millrace.outbox = '${mode}'; select millrace.emit('a.b', 'k', '{"a": 1}', '{"h": "v"}')`,
          );
        }
        await orm.transaction(async (transaction) => {
          await writeLineage(transaction, {
            correlationId: "a",
            causationId: "b",
            hops: 1,
            automation: "c",
            trail: [],
          });
          await outbox(transaction).emit("c.d", { key: 1, data: [1], headers: { a: "b" } });
          await outbox(transaction, { mode: "message" }).emit("c.d", { key: 1, data: [1], headers: { a: "b" } });
        });
        await waitFor(() => handled.length >= 2, { what: "both automations" });
        await waitFor(() => (worker.status().sources[0]?.heartbeatSeconds ?? 0) > 0, { what: "a heartbeat" });
        await waitFor(async () => (await run(database, "select from millrace.outbox")).length === 0, {
          what: "the clean-up",
        });
        const databases = new TxDatabases({
          automations,
          fallback: undefined,
          homes: [],
          outboxes: [],
          clock: realClock,
        });
        await databases.prune(
          { keepsForMs: async () => 1 },
          { ...silentLogger, warn: (...said) => expect.unreachable(JSON.stringify(said)) },
        );
        expect(await shadowRuns(database), "the worker").toBe(0);
        expect(worker.status().sources[0]).toMatchObject({ state: "running", poison: 0 });
        await command("verify", "shop", "--tables");
        await command("check");
      } finally {
        await worker.stop();
        await pool.end();
      }
      await command("slots");
      await command("slots", "drop", "millrace_shop", "--yes");
      expect(await ended(3, ["check"])).toContain("[SLOT_MISSING]");
    },
    180_000,
  );
});

/** In a session of its own, as a person's psql is. */
async function run(database: Database, sql: string): Promise<readonly unknown[]> {
  const session = await database.connect();
  try {
    return (await session.query(sql)).rows;
  } finally {
    await session.end();
  }
}
