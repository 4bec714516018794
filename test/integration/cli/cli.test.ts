// The built command from outside: what it prints, how it ends, and that no secret leaves it.
// (It is built for tests that use support/worker-process.ts.)

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { z } from "zod";
import type { Status } from "../../../src/monitor/status.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

async function inDirectory(
  files: Readonly<Record<string, string>>,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const cwd = await scratchDir();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(cwd, name)), { recursive: true });
    await writeFile(join(cwd, name), text);
  }
  return runCommand(args, { cwd, env });
}

const twoLines = (code: string): RegExp => new RegExp(`^${code}: .+\\nfix: .+\\n$`);

test("--version is the package's version, --help names the commands, on stdout", async () => {
  const version = await inDirectory({}, ["--version"]);
  const help = await inDirectory({}, ["--help"]);

  expect(version).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/), stderr: "" });
  expect([help.code, help.stderr]).toEqual([0, ""]);
  for (const command of ["run", "tail", "demo"]) expect(help.stdout).toContain(`\n  ${command} `);
});

test("a wrong command line is two lines and exit code 2", async () => {
  for (const args of [[], ["rnu"], ["run", "--sorces", "a"], ["demo", "--seconds", "soon"]]) {
    const { code, stdout, stderr } = await inDirectory({}, args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(twoLines("CLI_USAGE"));
  }
});

const older = {
  "millrace.config.mjs":
    'export default { sources: {}, automations: [{ [Symbol.for("millrace.automation")]: true, id: "ship", triggers: [] }] };',
};

test.each<readonly [string, string, Readonly<Record<string, string>>]>([
  ["CONFIG_NOT_FOUND", "run", {}],
  ["CONFIG_NOT_FOUND", "tail", {}],
  ["CONFIG_UNKNOWN_KEY", "run", { "millrace.config.yaml": "sources: {}\nbuss: {}" }],
  ["CONFIG_INVALID", "run", { "millrace.config.json": '{ "sources": { "a": { "kind": "oracle" } } }' }],
  ["CONFIG_LOAD_FAILED", "run", { "millrace.config.ts": "export default {" }],
  ["ENV_MISSING", "run", { "millrace.config.yaml": "sources: { a: { kind: postgres, url: { env: NO_SUCH_URL } } }" }],
  ["CONFIG_INVALID", "run", { "millrace.config.yaml": "sources: {}" }],
  ["CONFIG_INVALID", "check", { "millrace.config.yaml": "sources: {}" }],
  ["AUTOMATIONS_NOT_FOUND", "run", { "millrace.config.yaml": "sources: {}\nautomations: ./x/*.ts" }],
  ["AUTOMATION_VERSION", "run", older],
  ["AUTOMATION_VERSION", "check", older],
])("%s of `%s` is two lines and exit code 2", async (error, command, files) => {
  const { code, stdout, stderr } = await inDirectory(files, [command]);

  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(twoLines(error));
});

test("a host that others can reach needs a token", async () => {
  const { code, stderr } = await inDirectory({ "millrace.config.yaml": "sources: {}" }, ["run"], {
    MILLRACE_HTTP: "0.0.0.0:0",
  });

  expect(code).toBe(2);
  expect(stderr).toMatch(twoLines("HTTP_TOKEN_MISSING"));
  const configured = { "millrace.config.yaml": "sources: {}\nhttp: { host: 0.0.0.0 }" };
  for (const command of ["run", "check"]) {
    const refused = await inDirectory(configured, [command]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(twoLines("HTTP_TOKEN_MISSING"))]);
  }
  // Who only asks the database needs none.
  expect(await inDirectory(configured, ["slots"])).toMatchObject({ code: 0, stderr: "" });
});

test("no password is printed, not even with --verbose", async () => {
  const url = "postgres://app:s3cret-s3cret@127.0.0.1:1/shop";
  const files = {
    "millrace.config.ts": `import { env } from "millrace";
console.error("loaded", "${url}".length);
export default { bus: { servers: "nats://me:n4ts-n4ts@127.0.0.1:1", fsnyc: "${url}" }, sources: { a: { kind: "postgres", url: env("U"), tables: ["n4ts-n4ts"] } } };`,
  };

  const wrongKey = await inDirectory(files, ["run", "--verbose"], { U: url });
  const throwing = await inDirectory({ "millrace.config.ts": `throw new Error("no ${url}");` }, ["run", "--verbose"]);

  expect([wrongKey.code, throwing.code]).toEqual([2, 2]);
  expect(wrongKey.stderr).toContain("CONFIG_UNKNOWN_KEY");
  expect(throwing.stderr).toContain("postgres://app:[redacted]@127.0.0.1:1/shop");
  for (const { stdout, stderr } of [wrongKey, throwing]) expect(stdout + stderr).not.toMatch(/s3cret|n4ts-n4ts/);
});

/** A source whose database does not answer. */
const AWAY = { shop: { kind: "postgres", url: "postgres://127.0.0.1:1/shop" } };

test("while the bus is away `run` waits for it, says so without the password, and SIGTERM ends it with 0", async () => {
  const worker = await WorkerProcess.start({ bus: { servers: "nats://me:n4ts-n4ts@127.0.0.1:1" }, sources: AWAY });
  onTestFinished(() => worker.kill());

  await worker.logged("bus_disconnected");

  expect(await worker.stop()).toBe(0);
  expect(worker.log()).not.toContain("n4ts-n4ts");
});

test("with `--automations none` their modules are not even loaded", async () => {
  const files = {
    "millrace.config.yaml": "sources: {}\nbus: { servers: nats://127.0.0.1:1 }\nautomations: ./automations/*.ts",
    "automations/broken.ts": 'throw new Error("loaded");',
  };

  const all = await inDirectory(files, ["run"]);
  // Without the broken module the next thing that is wrong comes up.
  const none = await inDirectory(files, ["run", "--automations", "none"], { MILLRACE_HTTP: "nowhere" });

  expect(all.stderr).toMatch(/^CONFIG_LOAD_FAILED: .+broken\.ts:1:\d+: loaded\n/);
  expect(none.stderr).toMatch(/^CONFIG_INVALID: MILLRACE_HTTP: /);
});

describe.skipIf(missing("postgres", "nats"))("with servers", () => {
  async function shop() {
    const database = await freshDatabase();
    onTestFinished(() => database[Symbol.asyncDispose]());
    const nats = await freshNats({ syncInterval: "always" });
    await database.query("create table orders (id bigint primary key, note text)");
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.*"] } },
    };
    return { database, nats, config };
  }

  async function ready(worker: WorkerProcess): Promise<void> {
    const running = async (): Promise<boolean> => {
      const { sources } = (await (await fetch(`${worker.httpUrl}/api/status`)).json()) as Status;
      return sources.every(({ state }) => state === "running");
    };
    await waitFor(running, { what: "a running worker" });
  }

  test("`run` answers over HTTP, and SIGTERM drains it and ends it with 0", async () => {
    const { config } = await shop();
    const worker = await WorkerProcess.start(config);
    onTestFinished(() => worker.kill());
    await ready(worker);

    const status = (await (await fetch(`${worker.httpUrl}/api/status`)).json()) as Status;
    const metrics = await (await fetch(`${worker.httpUrl}/metrics`)).text();

    expect((await fetch(`${worker.httpUrl}/readyz`)).status).toBe(200);
    expect(status.sources).toMatchObject([{ id: "shop", kind: "postgres", state: "running" }]);
    expect(metrics).toContain('millrace_ready{kind="source",id="shop"} 1');
    expect(await worker.stop()).toBe(0);
    expect(worker.logLines().at(-1)).toMatchObject({ event: "worker_stopped" });
  });

  test("a port in use ends `run` with 2", async () => {
    const { config } = await shop();
    const worker = await WorkerProcess.start(config);
    onTestFinished(() => worker.kill());
    await ready(worker);

    const second = await worker.again({ env: { MILLRACE_HTTP: new URL(worker.httpUrl).host } });

    expect(await second.ended()).toBe(2);
    expect(worker.log()).toMatch(/\nHTTP_PORT_IN_USE: .+\nfix: .+\n/);
  });

  test("a source or automation that is not configured ends `run` with 2", async () => {
    const { config } = await shop();
    const files = { "millrace.config.json": JSON.stringify(config) };

    for (const option of ["--sources", "--automations"]) {
      const { code, stderr } = await inDirectory(files, ["run", option, "nope"], { MILLRACE_HTTP: "127.0.0.1:0" });
      expect(code).toBe(2);
      expect(stderr).toMatch(/ID_UNKNOWN: there is no (source|automation) "nope"\nfix: /);
    }
  });

  test("`--sources` runs only those", async () => {
    const { config } = await shop();
    const sources = { ...config.sources, other: config.sources.shop };
    const worker = await WorkerProcess.start({ ...config, sources }, { args: ["--sources", "other"] });
    onTestFinished(() => worker.kill());

    await ready(worker);

    const status = (await (await fetch(`${worker.httpUrl}/api/status`)).json()) as Status;
    expect(status.sources.map(({ id }) => id)).toEqual(["other"]);
  });

  test("history that was lost while the worker was away ends `run` with 4", async () => {
    const { database, config } = await shop();
    const worker = await WorkerProcess.start(config);
    onTestFinished(() => worker.kill());
    await ready(worker);
    await database.query("insert into orders values (1, 'seen')");
    await worker.stop();
    await database.query("select pg_drop_replication_slot('millrace_shop')");

    const lost = await worker.again();
    onTestFinished(() => lost.kill());

    expect(await lost.ended()).toBe(4);
    expect(worker.log()).toMatch(/\n[A-Z_]+: .+\nfix: .+\n$/);
  });

  test("a slot that is not on record ends `run` with 2, and `--adopt` takes it over", async () => {
    const { database, config } = await shop();
    await database.query("create publication millrace_shop for table orders");
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");

    const refused = await WorkerProcess.start(config);
    onTestFinished(() => refused.kill());
    expect(await refused.ended()).toBe(2);
    expect(refused.log()).toMatch(/SLOT_UNKNOWN: .+\nfix: .*--adopt/);
    const adopting = await refused.again({ args: ["--adopt"] });
    onTestFinished(() => adopting.kill());

    await ready(adopting);
  });

  test("a configuration in TypeScript runs automations that import millrace by name", async () => {
    const { database, config } = await shop();
    const cwd = await scratchDir();
    await mkdir(join(cwd, "automations"));
    await writeFile(
      join(cwd, "millrace.config.ts"),
      `import { defineConfig, env } from "millrace";
export default defineConfig({ bus: { servers: env("NATS_URL"), fsync: "always" }, sources: { shop: { kind: "postgres", url: env("DATABASE_URL") } }, automations: "./automations/*.ts" });`,
    );
    await writeFile(
      join(cwd, "automations/note.ts"),
      `import { automation, collection } from "millrace";
import { writeFileSync } from "node:fs";
interface Order { id: string; note: string }
export const note = automation("note", { on: collection<Order>("shop", "public.orders").created(), start: "earliest" }, async ({ event }) => {
  writeFileSync(${JSON.stringify(cwd)} + "/handled-" + event.after.id, event.after.note);
});`,
    );
    const child = spawn(process.execPath, [inject("cliFile"), "run"], {
      cwd,
      stdio: "ignore",
      env: { ...process.env, NATS_URL: config.bus.servers, DATABASE_URL: database.url, MILLRACE_HTTP: "127.0.0.1:0" },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    await waitFor(
      async () => (await database.query("select 1 from pg_replication_slots where active")).length > 0 || false,
      { what: "the slot to be read" },
    );

    await database.query("insert into orders values (7, 'hello')");

    await waitFor(async () => (await readdir(cwd)).includes("handled-7"), { what: "the handler's file" });
    child.kill("SIGTERM");
    await once(child, "exit");
    expect(child.exitCode).toBe(0);
  });

  test("what a handler began and nobody catches ends no worker: it is named, counted, and fails the attempt that runs", async () => {
    const { database, config } = await shop();
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ ...config, automations: "./careless.ts" }));
    await writeFile(
      join(cwd, "careless.ts"),
      `import { automation, collection } from "millrace";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
interface Order { id: string; note: string }
const closed = () => new Promise((resolve) => process.once("uncaughtException", () => setImmediate(resolve)));
export const careless = automation("careless", { on: collection<Order>("shop", "public.orders").created(), start: "earliest", concurrency: 1, retry: { min: 1, max: 5 } }, async ({ event, attempt }) => {
  const { id, note } = event.after;
  if (note === "rejects" && attempt === 1) {
    const failed = new Promise((resolve) => process.once("unhandledRejection", resolve));
    void Promise.reject(new Error("nobody awaits this"));
    await failed;
  }
  if (note === "cut" && attempt === 1) {
    const server = createServer((socket) => socket.destroy()).listen(0);
    await once(server, "listening");
    const cut = closed();
    connect(server.address().port).on("error", () => {}).on("close", () => { throw new Error("the driver's own"); });
    await cut;
    server.close();
  }
  if (note === "later") setTimeout(() => { throw new Error("too late"); }, 20);
  writeFileSync(${JSON.stringify(cwd)} + "/handled-" + id + "-" + attempt, "");
});`,
    );
    const child = spawn(process.execPath, [inject("cliFile"), "run"], { cwd, stdio: ["ignore", "ignore", "pipe"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    await waitFor(
      async () => (await database.query("select 1 from pg_replication_slots where active")).length > 0 || false,
      { what: "the slot to be read" },
    );

    await database.query("insert into orders values (7, 'rejects'), (8, 'cut'), (9, 'later')");
    const uncaught = () => log.split("\n").filter((line) => line.includes("automation_uncaught"));
    await waitFor(() => uncaught().length === 3, { what: "three errors that nobody caught" });
    await database.query("insert into orders values (10, 'well')");
    await waitFor(async () => (await readdir(cwd)).includes("handled-10-1"), { what: "what comes after them" });
    const handled = async () => (await readdir(cwd)).filter((name) => /^handled-[789]-/.test(name)).sort();
    // The attempt that an error fell into writes its file before it ends, and then the next one does.
    await waitFor(async () => (await handled()).length === 5, { what: "the second attempts" });
    child.kill("SIGTERM");
    await once(child, "close");

    expect(child.exitCode).toBe(0);
    expect(await handled()).toEqual(["handled-7-1", "handled-7-2", "handled-8-1", "handled-8-2", "handled-9-1"]);
    const told = uncaught().map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(told.map(({ automation, outcome }) => `${automation}: ${outcome}`).sort()).toEqual([
      "careless: the attempt fails",
      "careless: the attempt fails",
      "careless: the handler had ended before",
    ]);
  });

  test("`tail --json` prints one object for each event until it is stopped, and leaves stderr alone", async () => {
    const { database, config } = await shop();
    const worker = await WorkerProcess.start(config);
    onTestFinished(() => worker.kill());
    await ready(worker);
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ bus: config.bus }));
    const lines: string[] = [];
    const child = spawn(process.execPath, [inject("cliFile"), "tail", "cdc.shop.public.orders.*.*", "--json"], { cwd });
    onTestFinished(() => void child.kill("SIGKILL"));
    child.stdout.setEncoding("utf8").on("data", (text: string) => lines.push(...text.split("\n").filter(Boolean)));
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });

    // It tells of what comes after it has begun, so something must come until it does.
    let id = 0;
    await waitFor(
      async () => {
        await database.query("insert into orders values ($1, 'x')", [++id]);
        return lines.length > 0;
      },
      { what: "a line" },
    );
    child.kill("SIGINT");
    await once(child, "close");

    expect(child.exitCode).toBe(0);
    expect(errors).toBe("");
    const text = z.string();
    const schema = z.strictObject({
      ...{ sequence: z.int(), subject: text, id: text, type: text, key: text, time: z.iso.datetime() },
      ...{ position: text, transaction: text, last: z.boolean(), data: z.looseObject({ op: text }) },
    });
    expect(schema.parse(JSON.parse(lines[0] ?? ""))).toMatchObject({
      subject: expect.stringMatching(/^cdc\.shop\.public\.orders\.created\.p\d\d$/),
      type: "shop.public.orders.created",
      last: true,
      data: { op: "created", after: { note: "x" } },
    });
  });

  test("`demo --json` proves that nothing is lost, and leaves nothing behind", async () => {
    const cwd = await scratchDir();

    const { code, stdout, stderr } = await runCommand(["demo", "--seconds", "8", "--json"], { cwd });

    const summary = JSON.parse(stdout) as Record<string, number>;
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(Object.keys(summary)).toEqual([
      "committed",
      "published",
      "expected",
      "handled",
      "deadLettered",
      "lost",
      "duplicated",
      "outOfOrder",
      "p50Ms",
      "p99Ms",
    ]);
    expect(summary).toMatchObject({ lost: 0, duplicated: 0, outOfOrder: 0, published: summary.committed });
    expect((summary.handled ?? 0) + (summary.deadLettered ?? 0)).toBe(summary.expected);
    expect(summary.deadLettered).toBeGreaterThan(0);
    expect(await readdir(join(cwd, ".millrace/demo"))).toEqual([]);
  });

  test("`demo --keep` leaves its data and the worker's log, and says where", async () => {
    const cwd = await scratchDir();

    const { code, stdout, stderr } = await runCommand(["demo", "--seconds", "1", "--keep"], { cwd });

    const kept = /^kept: (.+)\n$/.exec(stderr)?.[1] ?? "";
    expect(code).toBe(0);
    expect(stdout).toMatch(/\ncommitted \d+ · published \d+ · handled \d+ of \d+ .+ · lost 0 · duplicated 0 · /);
    expect(await readdir(kept)).toEqual(expect.arrayContaining(["nats", "worker.log"]));
  });
});
