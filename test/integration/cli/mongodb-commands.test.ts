// Every command on a source of the kind mongodb, by the built command line: it works, or says in one line which kinds have it.

import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createContext, runInContext } from "node:vm";
import { MongoClient } from "mongodb";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { z } from "zod";
import { startWorker, type Worker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { startSecantus } from "../../../src/dev/secantus.ts";
import { freshMongoDatabase } from "../../support/mongodb/mongo-servers.ts";
import { foreignMongo, mongoTarget } from "../../support/mongodb/mongo-target.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const log = z.strictObject({
  source: z.string(),
  kind: z.literal("mongodb"),
  summary: z.string().nullable(),
  measures: z.record(z.string(), z.number()),
  exceeded: z.array(z.string()),
  alarms: z.array(z.unknown()),
});

async function shop() {
  const database = await freshMongoDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  const orders = database.db.collection<{ _id: string; status?: string }>("orders");
  await database.db.createCollection("orders");
  const nats = await freshNats({ syncInterval: "always" });
  const directory = await scratchDir();
  const http = { host: "127.0.0.1", port: await freePort() };
  const config = {
    http,
    bus: { servers: nats.url, fsync: "always" },
    sources: { shop: { kind: "mongodb", url: database.url, database: database.name, collections: ["orders"] } },
  };
  await writeFile(join(directory, "millrace.config.json"), JSON.stringify(config));
  const millrace = (...args: readonly string[]): Promise<CommandResult> => runCommand(args, { cwd: directory });
  return { database, orders, nats, config, http, directory, millrace };
}

/** A worker, in this process, that has stored three events of it. */
async function reading({ config, orders }: Awaited<ReturnType<typeof shop>>): Promise<Worker> {
  const worker = await startWorker(config, { http: true, timing: { guardEveryMs: 200 } });
  worker.finished.catch(() => {}); // the test would see it
  onTestFinished(() => worker.stop());
  const source = () => worker.status().sources[0];
  await waitFor(() => source()?.state === "running", { what: "the worker to read" });
  await orders.insertMany([{ _id: "o1" }, { _id: "o2" }]);
  await orders.updateOne({ _id: "o1" }, { $set: { status: "paid" } });
  await waitFor(() => source()?.published === 3 && (source()?.acknowledged ?? 0) > 0, { what: "the events" });
  return worker;
}

describe.skipIf(missing("mongodb", "nats"))(`every command on ${mongoTarget}`, () => {
  test("before a first start: slots, check, sql role", async () => {
    const { millrace } = await shop();

    const before = await millrace("slots");
    expect(before).toMatchObject({ code: 0, stderr: "" });
    expect(before.stdout).toBe("log of shop (mongodb)\n  nothing was read from it yet\n");
    const checked = await millrace("check", "--json");
    const report = JSON.parse(checked.stdout);
    expect([checked.code, report.ok]).toEqual([0, true]);
    expect(report.findings.map(({ code }: { code: string }) => code)).toEqual(
      expect.arrayContaining(["SERVER_VERSION", "CHANGE_STREAM", "COLLECTION_NOT_FOUND", "OPLOG_WINDOW"]),
    );
    const role = await millrace("sql", "role");
    expect(role).toMatchObject({ code: 0, stderr: "" });
    expect(role.stdout).toMatch(
      /^\/\/ source shop: for an administrator, in mongosh, at the cluster of the source's url\n/,
    );
  });

  test("while a worker reads: status, slots, metrics", async () => {
    const ground = await shop();
    const { http, millrace } = ground;
    const worker = await reading(ground);

    expect(await waitFor(() => worker.status().sources[0]?.guard?.summary, { what: "the guard to see" })).toMatch(
      /^the oplog is not full yet, and drops nothing; it is \d+ s behind$/,
    );
    expect(worker.status().sources[0]).toMatchObject({ opened: 1, lookupsEmpty: 0, imagesMissing: 0 });
    expect((await millrace("status")).stdout).toMatch(/shop +running +3[\s\S]*\n {4}the oplog is not full yet/);
    const slots = JSON.parse((await millrace("slots", "--json")).stdout);
    expect(slots).toMatchObject({ servers: [], unanswered: [] });
    expect(slots.logs.map((one: unknown) => log.parse(one))).toMatchObject([
      { source: "shop", measures: { lost: 0, lagSeconds: expect.any(Number) }, exceeded: [], alarms: [] },
    ]);
    const metrics = await (await fetch(`http://${http.host}:${http.port}/metrics`)).text();
    expect(metrics).toContain('millrace_source_log_opened_total{source="shop"} 1');
    expect(metrics).toContain('millrace_guard_exceeded{source="shop",kind="mongodb",measure="windowUsed"} 0');
    expect(metrics).toMatch(/millrace_guard_lag_seconds\{source="shop",kind="mongodb"\} \d/);
  });

  test("behind one: tail, verify, slots, check", async () => {
    const ground = await shop();
    const { millrace, directory } = ground;
    const worker = await reading(ground);
    expect(await newestKeys(directory, 3)).toEqual(["o1", "o2", "o1"]);
    await worker.stop();

    const verified = await millrace("verify", "shop", "--json");
    expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([0, { ok: true, events: 3 }]);
    expect((await millrace("slots")).stdout).toMatch(/^log of shop \(mongodb\)\n {2}the oplog is not full yet/);
    const again = await millrace("check");
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("place in the oplog: the stream is ")]);
  });

  test("behind one: types, erase, source remove", async () => {
    const ground = await shop();
    const { orders, millrace } = ground;
    const worker = await reading(ground);
    const { sequence } = worker.status().sources[0] ?? {};
    await worker.stop();

    const typed = await millrace("types", "--out", "rows");
    expect(typed).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("wrote rows/shop.ts") });
    const erased = await millrace("erase", "shop", String(sequence), "--yes");
    expect(erased).toMatchObject({ code: 0, stdout: expect.stringContaining("erased; ") });

    const kept = await millrace("source", "remove", "shop", "--yes");
    expect(kept).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/nothing in its database[\s\S]*there was nothing to remove; now take shop out/),
    });
    const removed = await millrace("source", "remove", "shop", "--stream", "--yes", "--json");
    expect([removed.code, JSON.parse(removed.stdout)]).toMatchObject([
      0,
      { bus: { stream: "CDC_SHOP" }, removed: true },
    ]);
    expect(await orders.countDocuments()).toBe(2);
  });

  test.each([
    ["slots", "drop", "millrace_shop"],
    ["sql", "publication"],
    ["sql", "event-triggers"],
    ["verify", "shop", "--tables"],
  ])("%s %s says that the kind has it not, and which has", async (...args) => {
    const { millrace } = await shop();

    expect(await millrace(...args)).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringMatching(
        /^CAPABILITY_MISSING: the source shop is of the kind mongodb, which .+\nfix: Kinds that (can|have): postgres\. .+\n$/,
      ),
    });
  });

  test("init by the url of a database writes a source that check and run take, and what the administrator runs", async () => {
    const { database, nats } = await shop();
    const cwd = await scratchDir();
    const url = database.url.replace("/?", `/${database.name}?`);
    const init = (named: string): Promise<CommandResult> =>
      runCommand(["init", "--url", named, "--nats", nats.url], { cwd });

    expect(await init(database.url)).toMatchObject({ code: 2, stderr: expect.stringMatching(/^INIT_DATABASE: /) });
    const written = await init(url);
    expect(written).toMatchObject({ code: 0, stderr: "" });
    expect(written.stdout).toMatch(
      /wrote millrace\.mongosh\.js\n[\s\S]*export DATABASE_URL='mongodb:\/\/millrace:PASSWORD@/,
    );
    expect(await readFile(join(cwd, "millrace.config.ts"), "utf8")).toContain(
      `shop: { kind: "mongodb", url: env("DATABASE_URL"), database: "${database.name}", collections: ["*"] }`,
    );
    expect(await readFile(join(cwd, "millrace.mongosh.js"), "utf8")).toContain('role: "millrace_shop"');
    const env = { DATABASE_URL: url };
    expect(await runCommand(["check"], { cwd, env })).toMatchObject({ code: 0, stderr: "" });
  });
});

describe.skipIf(missing("mongodb", "nats") || foreignMongo !== undefined)("a SecantusDB with passwords", () => {
  test("what `sql role` prints is enough to read by, and for nothing else; a user without it is refused", async () => {
    const nats = await freshNats({ syncInterval: "always" });
    const dataDir = await scratchDir();
    const open = await startSecantus({ dataDir });
    const cwd = await scratchDir();
    const section = (url: string) => ({ kind: "mongodb", url, database: "shop" });
    const configure = (url: string): Promise<void> =>
      writeFile(
        join(cwd, "millrace.config.json"),
        JSON.stringify({ bus: { servers: nats.url, fsync: "always" }, sources: { shop: section(url) } }),
      );
    await configure(open.url.replace("//", "//millrace:from-a-prompt@"));
    const { stdout: text } = await runCommand(["sql", "role"], { cwd });
    await inShell(open.url, text);
    const admin = new MongoClient(open.url);
    await admin.db("shop").collection("orders").insertOne({ shop: 1 });
    await admin.db("admin").command({ createUser: "plain", pwd: "from-a-prompt", roles: [] });
    await admin.close();
    await open.kill();
    const server = await freshSecantusWithPasswords(dataDir);
    const as = (user: string): Promise<void> => configure(server.url.replace("//", `//${user}@`));

    await as("millrace:from-a-prompt");
    const { stdout, code } = await runCommand(["check", "--json"], { cwd });
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true }]);
    expect(JSON.parse(stdout).findings.map((finding: { code: string }) => finding.code)).not.toContain("OPLOG_HIDDEN");
    const worker = new MongoClient(server.url.replace("//", "//millrace:from-a-prompt@"));
    await expect(worker.db("shop").collection("orders").insertOne({})).rejects.toMatchObject({ code: 13 });
    await expect(worker.db("crm").collection("people").findOne()).rejects.toMatchObject({ code: 13 });
    await worker.close();

    await as("plain:from-a-prompt");
    const refused = await runCommand(["check"], { cwd });
    expect(refused.code).toBe(3);
    expect(refused.stdout).toMatch(/\[PERMISSION_MISSING\]\n +fix: .*`millrace sql role`/);
  });
});

/** The keys of the newest events, as `millrace tail` prints them; then it is ended. */
async function newestKeys(cwd: string, count: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [inject("cliFile"), "tail", "shop", "--last", String(count), "--json"], {
    cwd,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const keys: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const { subject, key } = JSON.parse(line) as { subject: string; key: string };
    if (subject.startsWith("cdc.")) keys.push(key.split("/").at(-1) as string);
    if (keys.length === count) break;
  }
  child.kill("SIGKILL");
  return keys;
}

/** Runs a text as mongosh would, on a server. */
async function inShell(url: string, text: string): Promise<void> {
  const client = new MongoClient(url);
  const commands: (() => Promise<unknown>)[] = [];
  const db = {
    getSiblingDB: (name: string) => ({
      createRole: ({ role, ...more }: { role: string }) =>
        commands.push(() => client.db(name).command({ createRole: role, ...more })),
      createUser: ({ user, ...more }: { user: string }) =>
        commands.push(() => client.db(name).command({ createUser: user, ...more })),
    }),
  };
  runInContext(text, createContext({ db, passwordPrompt: () => "from-a-prompt" }));
  for (const command of commands) await command();
  await client.close();
}

const freshSecantusWithPasswords = async (dataDir: string) => {
  const server = await startSecantus({ dataDir, auth: true });
  onTestFinished(() => server.kill());
  return server;
};
