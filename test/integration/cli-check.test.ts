// `millrace check` from outside: its report for a person, its JSON, its exit codes, and no secret in any of them.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type CommandResult, runCommand } from "../support/run-command.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../support/servers.ts";

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
    for (const { fix } of failed) await database.query(fix ?? "");
    expect(await check("--json")).toMatchObject({ code: 0, stderr: "" });
    expect(await check("nobody")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^SOURCE_UNKNOWN: .+\nfix: /),
    });
  });
});
