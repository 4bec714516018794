// Each example, by the line of its own README: applications that emit, and subscribers in other languages that read it.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { freePort } from "../../src/dev/free-port.ts";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import { type Database, freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const absent = missing("postgres", "nats");
/** Debian's own tools are not on the path. */
const PATH = `${process.env.PATH}${delimiter}/usr/lib/postgresql/15/bin`;

/** Whether a tool cannot be had here; says so aloud. */
function lacks(tool: string): boolean {
  const there =
    spawnSync(tool, [tool === "go" ? "version" : "--version"], { env: { ...process.env, PATH } }).status === 0;
  if (!there) console.error(`skipping an example: there is no ${tool} here`);
  return !there;
}

describe.skipIf(absent || lacks("psql"))("the example", () => {
  let nats: NatsServer;
  let database: Database;
  let worker: ChildProcess | undefined;
  /** Laid out like the package, with its build. */
  let root: string;

  beforeAll(async () => {
    if (absent) return;
    root = dirname(dirname(inject("cliFile")));
    cpSync("examples", join(root, "examples"), { recursive: true });
    nats = await freshNats();
    database = await freshDatabase();
    const port = await freePort();
    await database.query("create table items (id int primary key, name text)");
    const [first = ""] = blocksOf("sql-outbox");
    worker = spawned(first.replace("node dist/cli.js run", "exec $&"), {
      MILLRACE_HTTP: `127.0.0.1:${port}`,
      TABLES: "public.items",
    });
    for (const stream of [worker.stdout, worker.stderr]) stream?.resume();
    const ready = async (): Promise<boolean> =>
      (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.status === 200;
    await waitFor(ready, { what: "the worker" });
    await database.query("insert into items values (1, 'a'); update items set name = 'b'");
    await database.query("begin; select millrace.emit('order.first', '1', '{}'); rollback");
    await database.query(
      "select millrace.emit('order.first', '1', '{\"n\": 1}', '{}', '00000000-0000-4000-8000-000000000001')",
    );
  });

  afterAll(async () => {
    worker?.kill();
    if (worker?.exitCode === null) await once(worker, "close");
    await database?.[Symbol.asyncDispose]();
  });

  /** What a README says to run, apart from what installs and builds the package itself: the worker, then the example. */
  function blocksOf(name: string): readonly string[] {
    const blocks = readFileSync(`examples/${name}/README.md`, "utf8").matchAll(/```sh\n(.*?)\n```/gs);
    return [...blocks].map(([, block = ""]) => block.replace("npm ci && npm run build\n", ""));
  }

  function spawned(line: string, env: Readonly<Record<string, string>> = {}) {
    return spawn("bash", ["-c", line], {
      cwd: root,
      env: { ...process.env, PATH, DATABASE_URL: database.url, NATS_URL: nats.url, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Resolves to what it prints. */
  async function run(name: string, env: Readonly<Record<string, string>> = {}, nth = 1): Promise<string> {
    const blocks = blocksOf(name);
    expect([blocks[0], blocks.length]).toEqual([blocksOf("sql-outbox")[0], name.endsWith("subscriber") ? 3 : 2]);
    const child = spawned(blocks[nth] ?? "", env);
    let printed = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (printed += text));
    await once(child, "close");
    expect({ code: child.exitCode, printed }).toMatchObject({ code: 0 });
    return printed;
  }

  const CHANGES =
    /^created public\.items\/1 shop\.\S+ before null after \{"id": ?1, ?"name": ?"a"\}\nupdated public\.items\/1 shop\.\S+ before null after \{"id": ?1, ?"name": ?"b"\}$/m;

  /** Both subscribers read one order that was there before, and the one that each application has placed. */
  const first = '^order\\.first order/1 00000000-0000-4000-8000-000000000001 \\{"n": 1\\}$';

  test("of drizzle places one order, and nothing of the one that fails", async () => {
    expect(await run("drizzle-outbox")).toBe("placed order 1\nnothing placed: the card was refused\n");
    expect(await database.query("select customer from drizzle_orders")).toEqual([{ customer: "Ada" }]);
  });

  test("of plain SQL does the same", async () => {
    expect(await run("sql-outbox")).toContain("never_seen");
    expect(await database.query("select customer from sql_orders")).toEqual([{ customer: "Ada" }]);
  });

  test.skipIf(lacks("go"))("of a subscriber in Go reads them, and goes on where it was", async () => {
    expect(await run("go-subscriber", { EVENTS: "1" })).toMatch(new RegExp(first, "m"));
    expect(await run("go-subscriber", { EVENTS: "1" })).toMatch(/^order\.placed order\/1 .*"customer": "Ada"/m);
  });

  test.skipIf(lacks("python3"))("of a subscriber in Python reads them, and goes on where it was", async () => {
    expect(await run("python-subscriber", { EVENTS: "1" })).toMatch(new RegExp(first, "m"));
    expect(await run("python-subscriber", { EVENTS: "1" })).toMatch(/^order\.placed order\/1 .*"customer": "Ada"/m);
  });

  test.skipIf(lacks("go"))("of a subscriber in Go reads row changes too", async () => {
    expect(await run("go-subscriber", { EVENTS: "2" }, 2)).toMatch(CHANGES);
  });

  test.skipIf(lacks("python3"))("of a subscriber in Python reads row changes too", async () => {
    expect(await run("python-subscriber", { EVENTS: "2" }, 2)).toMatch(CHANGES);
  });

  test("of automations does each one's work, by a worker that runs all of them", async () => {
    await using own = await freshDatabase();
    const [begin = "", then = ""] = blocksOf("automations");
    const port = await freePort();
    const env = { DATABASE_URL: own.url, MILLRACE_HTTP: `127.0.0.1:${port}` };
    const automations = spawned(begin.replace("node dist/cli.js run", "exec $&"), env);
    let printed = "";
    for (const stream of [automations.stdout, automations.stderr])
      stream.setEncoding("utf8").on("data", (text) => (printed += text));
    const closed = once(automations, "close");
    try {
      const ready = async (): Promise<boolean> => {
        expect({ code: automations.exitCode, printed }).toMatchObject({ code: null });
        return (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.status === 200;
      };
      await waitFor(ready, { what: "the worker" });
      const app = spawned(then, env);
      await once(app, "close");
      expect(app.exitCode).toBe(0);
      const done = async (): Promise<boolean> => {
        const [{ n } = { n: 0 }] = await own.query<{ n: number }>(
          "select (select count(*) from shipments)::int + (select count(*) from processed)::int + (select count(*) from findings)::int + (select count(*) from instances where tags ? 'cost-center')::int as n",
        );
        return n === 4;
      };
      await waitFor(done, { what: "a shipment, an upload, a finding and a tag" });
      expect(await own.query("select tags from instances")).toEqual([
        { tags: { owner: "ada", "cost-center": "unassigned" } },
      ]);
      expect(await own.query("select order_id, customer from shipments")).toEqual([
        { order_id: "o-1", customer: "Ada" },
      ]);
      expect(await own.query("select rule from findings")).toEqual([{ rule: "time is synchronised" }]);
    } finally {
      automations.kill();
      await closed;
    }
  });

  test("is listed, and has a README", () => {
    const listed = readFileSync("examples/README.md", "utf8").matchAll(/\]\((.*)\)/g);
    for (const [, readme = ""] of listed) expect(existsSync(join("examples", readme))).toBe(true);
  });
});
