// Every command on a source of the kind dynamodb, by the built command line, on our double behind a port: it works, or says in one line
// which kinds have it.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { startWorker, type Worker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { REGION, startDouble, stubCredentials } from "../../support/dynamodb/dynamo-servers.ts";
import { enforce, type Policy } from "../../support/dynamodb/policy.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const log = z.strictObject({
  source: z.string(),
  kind: z.literal("dynamodb"),
  summary: z.string().nullable(),
  measures: z.record(z.string(), z.number()),
  exceeded: z.array(z.string()),
  alarms: z.array(z.unknown()),
});

async function shop(tables: readonly string[] = ["orders"]) {
  const server = await startDouble();
  onTestFinished(() => server[Symbol.asyncDispose]());
  server.double.createTable("orders");
  const nats = await freshNats({ syncInterval: "always" });
  const directory = await scratchDir();
  const http = { host: "127.0.0.1", port: await freePort() };
  const section = {
    kind: "dynamodb",
    region: REGION,
    endpoint: server.url,
    tables,
    poll: { minMs: 20, maxIdleMs: 50 },
  };
  const config = { http, bus: { servers: nats.url, fsync: "always" }, sources: { shop: section } };
  await writeFile(join(directory, "millrace.config.json"), JSON.stringify(config));
  const millrace = (...args: readonly string[]): Promise<CommandResult> => runCommand(args, { cwd: directory });
  const put = (id: string, status = "new"): void =>
    server.double.put("orders", { id: { S: id }, status: { S: status } });
  return { ...server, nats, config, http, directory, millrace, put };
}

type Shop = Awaited<ReturnType<typeof shop>>;

/** A worker, in this process, that has stored three events of it. */
async function reading({ config, put }: Shop): Promise<Worker> {
  const worker = await startWorker(config, { http: true, timing: { guardEveryMs: 200 } });
  worker.finished.catch(() => {}); // the test would see it
  onTestFinished(() => worker.stop());
  const source = () => worker.status().sources[0];
  await waitFor(() => source()?.state === "running", { what: "the worker to read" });
  put("o1");
  put("o2");
  put("o1", "paid");
  await waitFor(() => source()?.published === 3 && (source()?.acknowledged ?? 0) > 0, { what: "the events" });
  return worker;
}

describe.skipIf(missing("nats"))("every command on our double of DynamoDB", () => {
  beforeAll(() => stubCredentials());
  afterAll(() => {
    vi.unstubAllEnvs();
  });

  test("before a first start: slots, check, sql role", async () => {
    const { millrace } = await shop(["orders", "cart*", "!cart-tmp"]);

    expect(await millrace("slots")).toMatchObject({
      ...{ code: 0, stderr: "" },
      stdout: "log of shop (dynamodb)\n  nothing was read from it yet\n",
    });
    const checked = await millrace("check", "--json");
    const report = JSON.parse(checked.stdout);
    expect([checked.code, report.ok]).toEqual([0, true]);
    expect(report.findings.slice(0, 2)).toMatchObject([
      { of: "shop", level: "ok", code: "PERMISSION_MISSING" },
      { of: "shop", level: "ok", code: "TABLE_NOT_FOUND", message: "1 is read now" },
    ]);
    const role = await millrace("sql", "role");
    expect(role).toMatchObject({ code: 0, stderr: "" });
    expect(role.stdout).toMatch(
      /^# source shop: for an administrator, in the account of its tables: .*\n# the worker leaves out !cart-tmp; .*\n# .* for a backfill add the statement \{.*"dynamodb:Scan".*\}\n\{\n/,
    );
    expect(policyIn(role.stdout)).toEqual({
      Version: "2012-10-17",
      Statement: [
        {
          ...{ Sid: "Tables", Effect: "Allow", Action: "dynamodb:DescribeTable" },
          Resource: ["orders", "cart*"].map((name) => `arn:aws:dynamodb:eu-west-1:000000000000:table/${name}`),
        },
        {
          ...{ Sid: "Streams", Effect: "Allow" },
          Action: ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"],
          Resource: ["orders", "cart*"].map((name) => `arn:aws:dynamodb:eu-west-1:000000000000:table/${name}/stream/*`),
        },
        { Sid: "Between", Effect: "Allow", Action: "dynamodb:ListStreams", Resource: "*" },
        { Sid: "Patterns", Effect: "Allow", Action: "dynamodb:ListTables", Resource: "*" },
      ],
    });
  });

  test("while a worker reads: status, slots, metrics", async () => {
    const ground = await shop();
    const { http, millrace } = ground;
    const worker = await reading(ground);

    await waitFor(() => worker.status().sources[0]?.guard?.summary, { what: "the guard to see" });
    const summary = await waitFor(() => worker.status().sources[0]?.summary, {
      what: "a rate of requests",
    });
    expect(summary).toMatch(
      /^1 shard is read; \d+\.\d GetRecords a second, \d+\.\d million in 30 days \(AWS charges for what is above 2\.5 million a month and region: https:/,
    );
    const source = worker.status().sources[0];
    expect(source).toMatchObject({ opened: 1, throttled: 0, iteratorsExpired: 0 });
    expect(source?.partitions).toEqual({ reading: 1, waiting: 0, done: 0, gap: 0 });
    const shown = await millrace("status");
    expect(shown.stdout).toMatch(
      /shop +running +3[\s\S]*\n {4}1 shard is read; [\s\S]*\n {4}(?:nothing waits|the oldest change that waits is)/,
    );
    const slots = JSON.parse((await millrace("slots", "--json")).stdout);
    expect(slots).toMatchObject({ servers: [], unanswered: [] });
    expect(slots.logs.map((one: unknown) => log.parse(one))).toMatchObject([
      {
        ...{ source: "shop", exceeded: [], alarms: [] },
        measures: { lost: 0, retentionUsed: 0, lagSeconds: 0 },
        summary: "nothing waits; 1 shard is not read to the end",
      },
    ]);
    const metrics = await (await fetch(`http://${http.host}:${http.port}/metrics`)).text();
    for (const line of [
      'millrace_guard_exceeded{source="shop",kind="dynamodb",measure="retentionUsed"} 0',
      'millrace_source_partitions{source="shop",state="reading"} 1',
      'millrace_source_throttled_total{source="shop"} 0',
      'millrace_source_iterators_expired_total{source="shop"} 0',
    ])
      expect(metrics).toContain(line);
    // What it saw waiting just now is told until the shard is asked again.
    expect(metrics).toMatch(/millrace_guard_lag_seconds\{source="shop",kind="dynamodb"\} [0-9]/);
    expect(metrics).toMatch(/millrace_guard_retention_used_ratio\{source="shop",kind="dynamodb"\} [0-9]/);
    expect(metrics).toMatch(/millrace_source_requests_total\{source="shop"\} [1-9]/);
  });

  test("behind one: verify, slots, check, erase, source remove", async () => {
    const ground = await shop();
    const { millrace, put } = ground;
    const worker = await reading(ground);
    const { sequence } = worker.status().sources[0] ?? {};
    await worker.stop();
    put("o3");

    const verified = await millrace("verify", "shop", "--json");
    expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([0, { ok: true, events: 3 }]);
    expect((await millrace("slots")).stdout).toMatch(
      /^log of shop \(dynamodb\)\n {2}the oldest change that waits is \d+ s old \(0 %\), 24 h are left/,
    );
    const again = await millrace("check");
    expect([again.code, again.stdout]).toEqual([
      0,
      expect.stringMatching(/place in the streams: what comes next is there, in 1 shard/),
    ]);
    const erased = await millrace("erase", "shop", String(sequence), "--yes");
    expect(erased).toMatchObject({ code: 0, stdout: expect.stringContaining("erased; ") });
    const kept = await millrace("source", "remove", "shop", "--yes");
    expect(kept).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/nothing in DynamoDB: [\s\S]*there was nothing to remove; now take shop out/),
    });
    const removed = await millrace("source", "remove", "shop", "--stream", "--yes", "--json");
    expect([removed.code, JSON.parse(removed.stdout)]).toMatchObject([
      0,
      { bus: { stream: "CDC_SHOP" }, removed: true },
    ]);
  });

  test("verify takes a stream with splits, rolls, a loss, another stream and restarts for what it is: right", async () => {
    const ground = await shop();
    const { millrace, put, double, config } = ground;
    const worker = (onGap: "stop" | "continue"): Promise<Worker> =>
      startWorker({ ...config, sources: { shop: { ...config.sources.shop, onGap } } });
    const source = (of: Worker) => of.status().sources[0];
    const reads = (of: Worker, count: number): Promise<unknown> =>
      waitFor(() => (source(of)?.published ?? 0) >= count && source(of)?.state === "running", {
        what: `${count} events`,
        timeoutMs: 60_000,
      });
    const write = (...ids: readonly string[]): void => {
      for (const id of ids) put(id, String(Math.random()));
    };
    const first = await reading(ground);
    for (let nth = 0; nth < 4; nth++) {
      double.life.roll("orders", { children: nth % 2 === 0 ? 2 : 1 });
      write("o1", "o2", "o3", "o4");
    }
    await reads(first, 3 + 16);
    await first.stop();
    write("o1", "o2");
    double.life.trim("orders");
    write("o1", "o3");
    const second = await worker("continue");
    await reads(second, 2);
    double.life.disable("orders");
    double.life.enable("orders");
    write("o4", "o5");
    await reads(second, 4);
    await second.stop();

    const verified = await millrace("verify", "shop", "--json");
    const report = JSON.parse(verified.stdout);
    expect(report.findings).toEqual([]);
    expect([verified.code, report.ok, report.events]).toEqual([0, true, 3 + 16 + 4]);
    expect(report.markers.shard).toBeGreaterThanOrEqual(20);
    expect(report.markers.gap).toBeGreaterThanOrEqual(2);
  });

  test("behind a worker that is dead, what it has lost is told: slots, check", async () => {
    const ground = await shop();
    const { millrace, put, double } = ground;
    await (await reading(ground)).stop();
    put("o3");
    double.life.roll("orders", { children: 1 });
    double.life.trim("orders", { gone: false });

    expect((await millrace("slots")).stdout).toMatch(/no longer holds what comes next/);
    const checked = await millrace("check");
    expect(checked.code).toBe(3);
    expect(checked.stdout).toMatch(/\[SHARD_TRIMMED\]\n +fix: `millrace run --adopt`[\s\S]*shard-lost\.md/);
  });

  test("what `sql role` prints is enough to check and to read by, and for nothing else", async () => {
    const ground = await shop();
    const { millrace, double } = ground;
    const policy = policyIn((await millrace("sql", "role")).stdout);
    const used = new Set<string>();
    enforce(double, policy, used);
    double.createTable("people");

    const checked = await millrace("check", "--json");
    const found: { of: string; level: string }[] = JSON.parse(checked.stdout).findings;
    expect(found.filter(({ of }) => of === "shop").map(({ level }) => level)).toEqual(["ok", "ok"]);
    await (await reading(ground)).stop();
    expect(new Set([...used].map((one) => one.split(" ")[0]))).toEqual(
      new Set(policy.Statement.flatMap(({ Action }) => Action)),
    );
    await expect(double.ask("DynamoDB_20120810", "PutItem", { TableName: "orders" })).rejects.toMatchObject({
      type: "AccessDeniedException",
    });
    await expect(double.ask("DynamoDB_20120810", "DescribeTable", { TableName: "people" })).rejects.toMatchObject({
      type: "AccessDeniedException",
    });
  });

  test("a policy that lacks an action: check names it, run says it, with what mends it", async () => {
    const { millrace, double } = await shop();
    const whole = policyIn((await millrace("sql", "role")).stdout);
    const Statement = whole.Statement.map((one) => ({
      ...one,
      Action: [one.Action].flat().filter((action) => action !== "dynamodb:GetRecords"),
    }));
    enforce(double, { ...whole, Statement });

    const checked = await millrace("check");
    expect(checked.code).toBe(3);
    expect(checked.stdout).toMatch(
      /action dynamodb:GetRecords: the worker may not do it on the stream of orders\s+\[PERMISSION_MISSING\]\n +fix: .*`millrace sql role`/,
    );
  });

  test("before anything is known of the account, sql role says what is to be replaced", async () => {
    const { millrace, directory, config } = await shop();
    const away = { ...config.sources.shop, endpoint: `http://127.0.0.1:${await freePort()}`, region: "cn-north-1" };
    await writeFile(join(directory, "millrace.config.json"), JSON.stringify({ ...config, sources: { shop: away } }));

    const { code, stdout } = await millrace("sql", "role");
    expect(code).toBe(0);
    expect(stdout).toContain(
      "# not known here, and to be replaced: ACCOUNT_ID for the account's number of twelve digits\n",
    );
    expect(policyIn(stdout).Statement[0]?.Resource).toEqual(["arn:aws-cn:dynamodb:cn-north-1:ACCOUNT_ID:table/orders"]);
  });

  test.each([
    ["slots", "drop", "millrace_shop"],
    ["sql", "publication"],
    ["sql", "event-triggers"],
    ["verify", "shop", "--tables"],
  ])("%s %s says that the kind has it not, and which has", async (...args) => {
    const { millrace } = await shop();

    expect(await millrace(...args)).toMatchObject({
      ...{ code: 2, stdout: "" },
      stderr: expect.stringMatching(
        /^CAPABILITY_MISSING: the source shop is of the kind dynamodb, which .+\nfix: Kinds that (can|have): postgres\. .+\n$/,
      ),
    });
  });

  test("init by an endpoint writes a source that check takes, and the policy", async () => {
    const { url, nats } = await shop();
    const cwd = await scratchDir();
    const init = (named: string): Promise<CommandResult> =>
      runCommand(["init", "--url", named, "--nats", nats.url], { cwd });

    expect(await init("dynamodb://")).toMatchObject({ code: 2, stderr: expect.stringMatching(/^INIT_DATABASE: /) });
    const written = await init(url);
    expect(written).toMatchObject({ code: 0, stderr: "" });
    expect(written.stdout).toMatch(/wrote millrace\.policy\.json\n[\s\S]*export AWS_PROFILE=/);
    expect(await readFile(join(cwd, "millrace.config.ts"), "utf8")).toContain(
      `shop: { kind: "dynamodb", endpoint: "${url}", tables: ["*"] }`,
    );
    expect(JSON.parse(await readFile(join(cwd, "millrace.policy.json"), "utf8"))).toMatchObject({
      Statement: [
        { Resource: ["arn:aws:dynamodb:eu-west-1:000000000000:table/*"] },
        {},
        { Sid: "Between" },
        { Sid: "Patterns" },
      ],
    });
    expect(await readFile(join(cwd, "automations", "orders-created.ts"), "utf8")).toContain('"_.orders"');
    expect(await runCommand(["check"], { cwd })).toMatchObject({ code: 0, stderr: "" });
  });
});

/** As a reader takes it out of what is printed. */
function policyIn(text: string): Policy {
  return JSON.parse(
    text
      .split("\n")
      .filter((line) => !line.startsWith("#"))
      .join("\n"),
  );
}
