// `millrace check` from outside: its report for a person, its JSON, its exit codes, and no secret in any of them.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AckPolicy, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";

/** As docs/operations/dba.md says. */
const report = z.strictObject({
  ok: z.boolean(),
  counts: z.strictObject({ ok: z.int(), warn: z.int(), fail: z.int() }),
  findings: z.array(
    z.strictObject({
      of: z.string(),
      level: z.enum(["ok", "warn", "fail"]),
      code: z.string().regex(/^[A-Z_]+$/),
      subject: z.string(),
      message: z.string(),
      fix: z.string().optional(),
      sql: z
        .array(z.string().regex(/^[A-Z]+[ ;].*;( -- .*)?$/))
        .min(1)
        .optional(),
    }),
  ),
});

describe.skipIf(missing("postgres", "nats"))("millrace check", () => {
  test("exit 3 while one fails, 0 when its printed SQL has been run; within 100 columns, without a password", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key); create table bad(id int)");
    await database.query("drop role if exists checker; create role checker login replication password 'pa55word'");
    const url = database.url.replace("postgres@", "checker:pa55word@");
    const cwd = await scratchDir();
    const config = {
      bus: { servers: nats.url },
      sources: { shop: { kind: "postgres", url } },
    };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    const check = (...args: readonly string[]): Promise<CommandResult> => runCommand(["check", ...args], { cwd });

    const text = await check();
    expect([text.code, text.stderr]).toEqual([3, ""]);
    expect(text.stdout).toContain("table public.bad");
    for (const secret of ["\u{1b}", "pa55word"]) expect(text.stdout).not.toContain(secret);
    const prose = text.stdout.split("\n").filter((line) => !/;( --.*)?$/.test(line));
    expect(Math.max(...prose.map((line) => line.length))).toBeLessThanOrEqual(100);

    const json = await check("shop", "--json");
    const { ok, counts, findings } = report.parse(JSON.parse(json.stdout));
    const failed = findings.filter(({ level }) => level === "fail");
    expect([json.code, ok, counts.fail]).toEqual([3, false, 2]);
    expect(failed.map(({ code }) => code)).toEqual(["TABLE_WITHOUT_IDENTITY", "PUBLICATION_MISSING"]);
    expect(json.stdout).not.toContain("pa55word");
    for (const { sql = [] } of failed) for (const statement of sql) await database.query(statement);
    // No statement names a table before it is fit: what is printed next adds it.
    const next = report.parse(JSON.parse((await check("shop", "--json")).stdout));
    for (const { level, sql = [] } of next.findings) {
      if (level === "fail") for (const statement of sql) await database.query(statement);
    }
    expect(await check("--json")).toMatchObject({ code: 0, stderr: "" });
    expect(await check("nobody")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^SOURCE_UNKNOWN: .+\nfix: /),
    });
  });

  test("an automation that would never match, one of a column that is not there, one of no source, and a subscription that nobody has any more", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    const cwd = await scratchDir();
    const config = {
      bus: { servers: nats.url },
      sources: { shop: { kind: "postgres", url: database.url } },
      automations: "./automations/*.ts",
    };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    await mkdir(join(cwd, "automations"));
    const define = (source: string, collection: string, options = ""): Promise<void> =>
      writeFile(
        join(cwd, "automations/greet.ts"),
        `import { automation, collection } from "millrace";
export const greet = automation("greet", { on: collection("${source}", "${collection}").created(), ${options} }, async () => {});`,
      );
    const said = async (): Promise<readonly (readonly string[])[]> => {
      const { findings } = report.parse(JSON.parse((await runCommand(["check", "--json"], { cwd })).stdout));
      return findings
        .filter(({ of }) => of === "automations")
        .map(({ level, code, subject }) => [level, code, subject]);
    };
    const wrong = async (): Promise<readonly (readonly string[])[]> =>
      (await said()).filter(([level]) => level !== "ok");
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add({ name: "CDC_SHOP", subjects: ["cdc.shop.>"], allow_atomic: true });
    const durable = { ack_policy: AckPolicy.Explicit, filter_subject: "cdc.shop.>" };
    await jsm.consumers.add("CDC_SHOP", { durable_name: "gone", metadata: { millrace: "automation" }, ...durable });
    await jsm.consumers.add("CDC_SHOP", { durable_name: "in-go", ...durable });

    await define("shop", "public.order");
    expect(await wrong()).toEqual([
      ["warn", "AUTOMATION_NEVER_MATCHES", "automation greet"],
      ["warn", "AUTOMATION_ORPHAN", "subscription gone"],
    ]);
    await jsm.consumers.delete("CDC_SHOP", "gone"); // as its fix says
    await define("shoop", "public.orders");
    expect(await wrong()).toEqual([["warn", "AUTOMATION_SOURCE_UNKNOWN", "automation greet"]]);
    await define("shop", "public.orders", "on: collection('shop', 'public.orders').changed('ident')");
    expect(await said()).toEqual([
      ["fail", "AUTOMATION_IMAGES", "automations"], // and not that it listens, too
      ["warn", "AUTOMATION_COLUMN_UNKNOWN", "automation greet"],
    ]);
    await define("shop", "public.orders", "where: { after: { id: [1] } }");
    expect(await wrong()).toEqual([]);
  });
});
