// `millrace slots` from outside: its table, its JSON, and dropping a slot.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { hasTerminals, onTerminal } from "../../support/process/on-terminal.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshDatabase, freshPostgres, missing, scratchDir } from "../../support/servers.ts";

const number = z.number().nullable();

/** As docs/operations/dba.md says. */
const report = z.strictObject({
  servers: z.array(
    z.strictObject({
      sources: z.array(z.string()),
      systemId: z.string(),
      walBytesPerSecond: number,
      oldestTransaction: z
        .strictObject({ pid: z.int().nullable(), gid: z.string().nullable(), ageSeconds: number })
        .nullable(),
      slots: z.array(
        z.strictObject({
          name: z.string(),
          source: z.string().nullable(),
          orphan: z.boolean(),
          plugin: z.string(),
          database: z.string(),
          active: z.boolean(),
          pid: z.int().nullable(),
          inactiveSeconds: number,
          walStatus: z.enum(["reserved", "extended", "unreserved", "lost"]).nullable(),
          invalidation: z.string().nullable(),
          retainedBytes: number,
          unsentBytes: number,
          unconfirmedBytes: number,
          restartGapBytes: number,
          catalogXminAge: number,
          spilledBytes: number,
          replySeconds: number,
          safeBytes: number,
          fullInSeconds: number,
          failover: z.boolean().nullable(),
          synced: z.boolean().nullable(),
          lagSeconds: number,
          heartbeatSeconds: number,
          alarms: z.array(z.strictObject({ code: z.string(), message: z.string() })),
        }),
      ),
    }),
  ),
  logs: z.array(
    z.strictObject({
      source: z.string(),
      kind: z.string(),
      summary: z.string().nullable(),
      measures: z.record(z.string(), z.number()),
      exceeded: z.array(z.string()),
      alarms: z.array(z.strictObject({ code: z.string(), message: z.string() })),
    }),
  ),
  unanswered: z.array(z.strictObject({ source: z.string(), code: z.string(), message: z.string() })),
});

describe.skipIf(missing("postgres"))("millrace slots", () => {
  test("a table of 100 columns, the same as JSON by its schema, and a slot dropped only with --yes", async () => {
    await using database = await freshDatabase();
    await using other = await freshDatabase();
    const long = `millrace_${"x".repeat(54)}`;
    for (const name of ["millrace_shop", long]) {
      await database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
    }
    const cwd = await scratchDir();
    const sources = { shop: { kind: "postgres", url: database.url }, crm: { kind: "postgres", url: other.url } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ sources }));
    const slots = (...args: readonly string[]): Promise<CommandResult> => runCommand(["slots", ...args], { cwd });

    const table = await slots();
    expect([table.code, table.stderr]).toEqual([0, ""]);
    expect(table.stdout).toMatch(/^server of shop, crm, writing /);
    expect(table.stdout).toMatch(/\* millrace_shop +idle \d+ s/);
    expect(table.stdout).toContain(`slots drop ${long}`);
    expect(table.stdout).not.toContain("\u{1b}");
    expect(Math.max(...table.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);

    const { servers } = report.parse(JSON.parse((await slots("--json")).stdout));
    expect(servers.map((server) => server.sources)).toEqual([["shop", "crm"]]);
    expect(servers[0]?.slots.map(({ name, source, orphan }) => [name, source, orphan])).toEqual([
      ["millrace_shop", "shop", false],
      [long, null, true],
    ]);

    if (hasTerminals()) {
      const terminal = onTerminal(["slots", "--watch", "--json"], { cwd });
      await terminal.shows(/(^\{.*\}\s+){2}/m);
      terminal.type("\u{3}");
      expect(await terminal.ended).toBe(0);
      for (const look of terminal.shown().match(/^\{.*\}/gm) ?? []) report.parse(JSON.parse(look));
    }

    const refused = await slots("drop", long);
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^SLOT_DROP_UNCONFIRMED: .+\nfix: .*--yes/),
    });
    expect(refused.stdout).toMatch(/frees .* of log\n.*cannot go on from it/);
    expect(await slots("drop", long, "--yes")).toMatchObject({ code: 0, stderr: "" });
    expect(await slots("drop", long, "--yes")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^SLOT_NOT_FOUND: /),
    });
    expect(await database.query("select slot_name from pg_replication_slots")).toEqual([
      { slot_name: "millrace_shop" },
    ]);
  });

  test("a slot is ours on its own source's server only; one server that is away hides no other, and drops nothing unasked", async () => {
    await using database = await freshDatabase();
    await using other = await freshDatabase(await freshPostgres());
    const name = "millrace_shop";
    for (const each of [database, other])
      await each.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
    const cwd = await scratchDir();
    const away = { kind: "postgres", url: "postgres://nobody@127.0.0.1:1/none" };
    const sources = { shop: { kind: "postgres", url: database.url }, crm: { kind: "postgres", url: other.url } };
    const slots = async (configured: object, ...args: readonly string[]): Promise<CommandResult> => {
      await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ sources: configured }));
      return runCommand(["slots", ...args], { cwd });
    };

    const seen = await slots({ ...sources, away }, "--json");
    expect([seen.code, seen.stderr]).toEqual([1, expect.stringMatching(/^SOURCE_UNREACHABLE: /)]);
    expect(seen.stderr).toMatch(/\nfix: See that .*; a worker tries again by itself\./); // the command does not
    const { servers, unanswered } = report.parse(JSON.parse(seen.stdout));
    expect(servers.map((server) => server.slots.map(({ source, orphan }) => [source, orphan]))).toEqual([
      [["shop", false]],
      [[null, true]],
    ]);
    expect(unanswered).toMatchObject([{ source: "away", code: "SOURCE_UNREACHABLE" }]);
    for (const configured of [sources, { shop: sources.shop, away }]) {
      expect(await slots(configured, "drop", name, "--yes")).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^SLOT_AMBIGUOUS: .+\nfix: .*--source/),
      });
    }
    const dropped = await slots({ ...sources, away }, "drop", name, "--source", "crm", "--yes");
    expect(dropped).toMatchObject({ code: 0, stdout: expect.stringContaining("server of crm, database") });

    const left = "select slot_name::text from pg_replication_slots";
    expect(await database.query(left)).toEqual([{ slot_name: name }]);
    expect(await other.query(left)).toEqual([]);
  });
});
