// The command on a terminal: it asks, it colours, it draws anew, and Ctrl-C ends it.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { hasTerminals, onTerminal } from "../../support/process/on-terminal.ts";
import { freshDatabase, missing, scratchDir } from "../../support/servers.ts";

const ESC = "\u{1b}";
/** As npm does: what the terminal has sent to all is passed on to what it runs. Thrice, for signals that wait become one. */
const RUNNER = `
  import { spawn } from "node:child_process";
  const child = spawn(process.execPath, process.argv.slice(2), { stdio: "inherit" });
  process.on("SIGINT", () => { for (const ms of [10, 60, 110]) setTimeout(() => child.kill("SIGINT"), ms); });
  child.on("exit", (code) => process.exit(code ?? 1));`;

describe.skipIf(missing("postgres", "nats") || !hasTerminals())("on a terminal", () => {
  test("`init` asks for what no flag says, and Enter takes what stands in brackets", async () => {
    const cwd = await scratchDir();
    const terminal = onTerminal(["init", "--nats", "nats://bus:4222"], { cwd });

    for (const [question, answer] of [
      [/Name of the source \[shop\]: /, "crm"],
      [/Url of its Postgres .+: /, ""],
      [/Tables to read \[public\.\*\]: /, "sales.leads, sales.deals"],
    ] as const) {
      await terminal.shows(question);
      terminal.type(`${answer}\r`);
    }

    expect(await terminal.ended).toBe(0);
    expect(terminal.shown()).not.toContain("nats-server [");
    const config = await readFile(join(cwd, "millrace.config.ts"), "utf8");
    expect(config).toContain(
      'crm: { kind: "postgres", url: env("DATABASE_URL"), tables: ["sales.leads", "sales.deals"] }',
    );
    expect(config).toContain('env("NATS_URL", "nats://bus:4222")');
    expect(await readFile(join(cwd, "dev/crm.sql"), "utf8")).toContain("create table sales.leads");
  });

  test("`slots --watch` is coloured within 100 columns, drawn anew, and ended with 0 by Ctrl-C", async () => {
    await using database = await freshDatabase();
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    await database.query("select pg_create_logical_replication_slot('millrace_gone', 'pgoutput')");
    const cwd = await scratchDir();
    const sources = { shop: { kind: "postgres", url: database.url } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ sources }));
    const terminal = onTerminal(["slots", "--watch"], { cwd });
    const frames = (): readonly string[] => terminal.shown().split(`${ESC}[2J${ESC}[H`).slice(1);

    await terminal.shows(new RegExp(`(${ESC}\\[2J[^]*){2}oldest|(${ESC}\\[2J[^]*){3}`));
    terminal.type("\u{3}");

    expect(await terminal.ended).toBe(0);
    const frame = frames()[0] ?? "";
    expect(frame).toContain(`${ESC}[33m* millrace_shop`);
    expect(frame).toContain("not marked for failover");
    expect(frame).toContain("millrace slots drop millrace_gone");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is taken away
    const plain = frame.replace(/\u{1b}\[\d+m/gu, "");
    expect(Math.max(...plain.split(/\r?\n/).map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test("`slots drop` asks for the name of the slot, and drops it when that is typed", async () => {
    await using database = await freshDatabase();
    await database.query("select pg_create_logical_replication_slot('millrace_gone', 'pgoutput')");
    const cwd = await scratchDir();
    const sources = { shop: { kind: "postgres", url: database.url } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ sources }));
    const drop = async (typed: string): Promise<string> => {
      const terminal = onTerminal(["slots", "drop", "millrace_gone"], { cwd });
      await terminal.shows(/frees .+ of log.+cannot go on from it.+Type millrace_gone to drop it: /s);
      terminal.type(`${typed}\r`);
      await terminal.ended;
      return terminal.shown();
    };

    expect(await drop("yes")).toContain("SLOT_DROP_UNCONFIRMED");
    expect(await database.query("select 1 from pg_replication_slots")).toHaveLength(1);
    expect(await drop("millrace_gone")).toContain("dropped the slot millrace_gone");
    expect(await database.query("select 1 from pg_replication_slots")).toEqual([]);
  });

  test("`demo` shows a table of what flows, draws it anew, and leaves its summary", async () => {
    const cwd = await scratchDir();
    const terminal = onTerminal(["demo", "--seconds", "2"], { cwd });

    expect(await terminal.ended).toBe(0);
    const shown = terminal.shown();
    expect(shown).toMatch(/committed in Postgres +\d+ +\d+\/s +> \w+\.\w+ \S+/);
    expect(shown).toContain(`${ESC}[9A${ESC}[2K  committed in Postgres`);
    expect(shown).toMatch(/\ncommitted \d+ · published \d+ · handled \d+ of \d+ .+ · lost 0 · duplicated 0 · /);
  });

  test.each([60, 80, 100])("`demo` draws no line that %i columns would break", async (columns) => {
    const cwd = await scratchDir();
    const terminal = onTerminal(["demo", "--seconds", "2"], { cwd, columns });

    expect(await terminal.ended).toBe(0);
    const drawn = terminal
      .shown()
      .split(`${ESC}[9A`)
      .slice(1, -1)
      .flatMap((picture) => picture.split(/\r?\n/));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what moves the cursor takes no room
    const widths = drawn.map((line) => line.replace(/\u{1b}\[\d*[A-Z]/gu, "").length);
    expect(widths.length).toBeGreaterThan(9);
    expect(Math.max(...widths)).toBeGreaterThan(48);
    expect(Math.max(...widths)).toBeLessThan(columns);
  });

  test("one Ctrl-C that a runner passes on once more ends `demo` with its account, and leaves nothing behind", async () => {
    const cwd = await scratchDir();
    await writeFile(join(cwd, "runner.mjs"), RUNNER);
    const program = [process.execPath, "runner.mjs", inject("cliFile")];
    const terminal = onTerminal(["demo"], { cwd, program });
    await terminal.shows(/published to JetStream +[1-9]/);
    terminal.type("\u{3}");

    expect(await terminal.ended).toBe(0);
    expect(terminal.shown()).toMatch(
      /\ncommitted \d+ · published \d+ · handled \d+ of \d+ .+ · lost 0 · duplicated 0 · /,
    );
    expect(await readdir(join(cwd, ".millrace/demo"))).toEqual([]);
  });

  test("Ctrl-C under `npm run demo` ends with the account, and leaves nothing behind", async () => {
    const place = ".millrace/demo";
    const before = new Set(await readdir(place).catch(() => []));
    const terminal = onTerminal([], { cwd: process.cwd(), program: ["npm", "run", "demo"] });
    await terminal.shows(/published to JetStream +[1-9]/);
    terminal.type("\u{3}");
    await terminal.ended;

    expect(terminal.shown()).toMatch(
      /\ncommitted \d+ · published \d+ · handled \d+ of \d+ .+ · lost 0 · duplicated 0 · /,
    );
    expect((await readdir(place)).filter((name) => !before.has(name))).toEqual([]);
  });
});
