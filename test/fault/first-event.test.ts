// The README's way to a first event, command by command, in a database whose tables have every replica identity.

import { spawn } from "node:child_process";
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { query, startDev } from "../support/process/dev-process.ts";
import { runCommand } from "../support/process/run-command.ts";
import { missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const COLUMNS = "(id int not null, code text not null, note text)";

/** What makes each table one of its kind, and the key of its events. */
const TABLES: Readonly<Record<string, readonly [sql: string, key: unknown]>> = {
  by_key: ["alter table by_key add primary key (id)", { id: 1 }],
  by_index: [
    "create unique index by_code on by_index (code); alter table by_index replica identity using index by_code",
    { code: "a" },
  ],
  whole: ["alter table whole add primary key (id); alter table whole replica identity full", { id: 1 }],
  whole_without_key: ["alter table whole_without_key replica identity full", null],
  // Refused, until what `check` prints was run.
  without_key: ["select 1", null],
  nothing: ["alter table nothing add primary key (id); alter table nothing replica identity nothing", { id: 1 }],
};

const PARTS = `
  create table parts ${COLUMNS.replace(")", ", primary key (id))")} partition by range (id);
  create table parts_1 partition of parts for values from (0) to (10);
  create table parts_2 partition of parts for values from (10) to (20);`;

interface Tailed {
  readonly type: string;
  readonly data: { readonly op: string; readonly key: unknown };
}

/** `millrace tail`; what it has printed. */
function startTail(cwd: string, natsUrl: string): readonly Tailed[] {
  const events: Tailed[] = [];
  const child = spawn(process.execPath, [inject("cliFile"), "tail", "shop", "--json"], {
    cwd,
    env: { ...process.env, NATS_URL: natsUrl },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    events.push(...lines.map((line) => JSON.parse(line) as Tailed));
  });
  return events;
}

describe.skipIf(missing("postgres", "nats"))("whoever follows the README", () => {
  test("sees the events of a table of every identity, those without one once its own advice was followed", async () => {
    const readme = await readFile("README.md", "utf8");
    for (const command of [
      "npx millrace init ",
      "npx millrace dev\n",
      '/shop -c "insert into orders default values"',
      "npx millrace tail shop ",
      "npx millrace check ",
    ]) {
      expect(readme).toContain(command);
    }
    const cwd = await scratchDir();
    expect(await runCommand(["init"], { cwd })).toMatchObject({ code: 0, stderr: "" });
    const made = Object.entries(TABLES).map(([name, [sql]]) => `create table ${name} ${COLUMNS}; ${sql};\n`);
    await appendFile(join(cwd, "dev/shop.sql"), `${made.join("")}${PARTS}`);

    const dev = startDev(cwd);
    const urlOf = async (name: string): Promise<string> =>
      String((await dev.logged("dev_server_started", ({ server }) => server === name)).url);
    const url = await urlOf("postgres");
    const natsUrl = await urlOf("nats-server");
    await dev.said(/\nTABLE_WITHOUT_IDENTITY: rows of public\.nothing, public\.without_key .+\nfix: .+millrace check/);
    await dev.logged("dev_worker_ended");
    for (const table of ["nothing", "without_key"]) {
      await query(url, `insert into ${table} values (1, 'a'); update ${table} set note = 'x'; delete from ${table}`);
    }

    const env = { DATABASE_URL: url, NATS_URL: natsUrl };
    const checked = await runCommand(["check", "--json"], { cwd, env });
    const { findings } = JSON.parse(checked.stdout) as { findings: { level: string; code: string; fix?: string }[] };
    const failed = findings.filter(({ level }) => level === "fail");
    expect(checked.code).toBe(3);
    expect(failed.map(({ code }) => code)).toEqual(["TABLE_WITHOUT_IDENTITY", "TABLE_WITHOUT_IDENTITY"]);
    await query(url, failed.map(({ fix }) => fix).join("\n"));

    await dev.logged("source_started"); // by itself: `dev` looks at the tables
    await dev.logged("automation_started");
    const events = startTail(cwd, natsUrl);
    await waitFor(
      async () => {
        await query(url, "insert into orders default values");
        return events.length > 0;
      },
      { what: "a line of tail" },
    );
    await dev.logged("automation_log", ({ msg }) => String(msg).startsWith("a row of public.orders was created"));

    for (const table of Object.keys(TABLES)) {
      await query(url, `insert into ${table} values (1, 'a', 'x')`);
      await query(url, `update ${table} set note = 'y'`);
      await query(url, `delete from ${table}`);
    }
    await query(url, "insert into parts values (1, 'a', 'x'); update parts set note = 'y'");
    await query(url, "update parts set id = 15; delete from parts");
    const of = (table: string): readonly (readonly [string, unknown])[] =>
      events
        .filter(({ type }) => type.startsWith(`shop.public.${table}.`))
        .map(({ data }) => [data.op, data.key] as const);
    await waitFor(() => of("parts").length >= 5, { what: "the last event" });

    for (const [table, [, key]] of Object.entries(TABLES)) {
      expect([table, of(table)]).toEqual([
        table,
        [
          ["created", key],
          ["updated", key],
          ["deleted", key],
        ],
      ]);
    }
    expect(of("parts")).toEqual([
      ["created", { id: 1 }],
      ["updated", { id: 1 }],
      ["deleted", { id: 1 }],
      ["created", { id: 15 }],
      ["deleted", { id: 15 }],
    ]);
    dev.stop();
    expect(await dev.ended).toBe(0);
  });
});
