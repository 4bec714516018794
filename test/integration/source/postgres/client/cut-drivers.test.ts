// Drivers whose sessions end under them, in modules of automations: whatever they throw past everybody, the worker goes on.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { freshDatabase, freshNats, missing, scratchDir } from "../../../../support/servers.ts";
import { TcpProxy } from "../../../../support/tcp-proxy.ts";
import { waitFor } from "../../../../support/wait-for.ts";

/** One pool that a module opens as it is loaded, one that a handler is the first to use; no listener for errors anywhere. */
const MODULE = `import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { automation, collection } from "millrace";
import pg from "pg";
import postgres from "postgres";
const url = process.env.DRIVERS_URL;
const options = { max: 1, onnotice: () => {}, connection: { application_name: "driver" } };
const [early, lazy] = [postgres(url, options), postgres(url, options)];
const [idleEarly, idleLazy] = [1, 2].map(() => new pg.Pool({ connectionString: url, application_name: "driver" }));
await early\`select 1\`;
await idleEarly.query("select 1");
const say = (name) => writeFileSync(name, "");
const cut = async (name) => {
  say(name);
  while (!existsSync(name + "-done")) await delay(5);
  await delay(20);
};
interface Order { id: string; note: string }
export const careless = automation("careless", {
  on: collection<Order>("shop", "public.orders").created(),
  start: "earliest", concurrency: 1, timeout: "3s", retry: { min: 20, max: 50 },
}, async ({ event, attempt }) => {
  const { id, note } = event.after;
  const sql = note.startsWith("early") ? early : lazy;
  if (attempt === 1 && note.endsWith("inside")) {
    await sql.begin(async (tx) => { await tx\`select 1\`; await cut("cut-" + id); await tx\`select 2\`; });
  }
  if (note === "lazy idle") await idleLazy.query("select 1");
  if (attempt === 1 && note.endsWith("idle")) await cut("cut-" + id);
  say("handled-" + id);
});`;

describe.skipIf(missing("postgres", "nats"))("a driver's session that ends", () => {
  test.each(["is terminated", "loses its socket"])(
    "%s inside a handler, outside of all, or later: it is told, and the worker and the next events go on",
    async (how) => {
      await using database = await freshDatabase();
      await using proxy = await TcpProxy.start(Number(new URL(database.url).port));
      const nats = await freshNats();
      await database.query("create table orders(id int primary key, note text)");
      const cwd = await scratchDir();
      await symlink(join(process.cwd(), "node_modules"), join(cwd, "node_modules"));
      await writeFile(join(cwd, "careless.ts"), MODULE);
      const config = {
        bus: { servers: nats.url, fsync: "always" },
        sources: { shop: { kind: "postgres", url: database.url } },
        automations: "./careless.ts",
      };
      await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
      const env = { ...process.env, DRIVERS_URL: proxy.url(database.url), MILLRACE_HTTP: "127.0.0.1:0" };
      const child = spawn(process.execPath, [inject("cliFile"), "run"], {
        cwd,
        env,
        stdio: ["ignore", "ignore", "pipe"],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      let log = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        log += text;
      });
      const files = () => readdir(cwd);
      const until = (name: string) => waitFor(async () => (await files()).includes(name), { what: `${name}; ${log}` });
      const cut = async (): Promise<void> => {
        if (how === "loses its socket") return proxy.cut();
        await database.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'driver'",
        );
      };
      await waitFor(
        async () =>
          (await database.query("select 1 from pg_replication_slots where active")).length > 0 ||
          child.exitCode !== null,
        { what: "the slot to be read" },
      );

      const notes = ["lazy inside", "early inside", "lazy idle", "nothing"];
      for (const [nth, note] of notes.entries()) {
        await database.query("insert into orders values ($1, $2)", [nth, note]);
        if (note !== "nothing") {
          await until(`cut-${nth}`);
          await cut();
          await writeFile(join(cwd, `cut-${nth}-done`), "");
        }
        await until(`handled-${nth}`);
      }
      child.kill("SIGTERM");
      await once(child, "close");

      expect([child.exitCode, log]).toEqual([0, expect.not.stringContaining("UNHANDLED")]);
      const told = log
        .split("\n")
        .filter((line) => line.includes("_uncaught"))
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const events = new Set(told.map(({ event }) => event));
      // By name where a handler opened the connection; the module's own belong to no automation.
      expect([...events].sort()).toEqual(["automation_uncaught", "module_uncaught"]);
    },
  );
});
