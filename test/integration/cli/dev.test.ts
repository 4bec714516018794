// `millrace init` and `millrace dev` from outside: what is written type-checks and runs, is reloaded, and ends cleanly.

import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { query, startDev } from "../../support/process/dev-process.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";

test("`init` keeps what it makes for itself out of git, and leaves what else is in .gitignore", async () => {
  const ignoredBy = async (before?: string): Promise<string> => {
    const cwd = await scratchDir();
    if (before !== undefined) await writeFile(join(cwd, ".gitignore"), before);
    expect(await runCommand(["init"], { cwd })).toMatchObject({ code: 0, stderr: "" });
    return readFile(join(cwd, ".gitignore"), "utf8");
  };

  expect(await ignoredBy()).toBe("node_modules/\n.millrace/\n");
  expect(await ignoredBy("dist\n/node_modules")).toBe("dist\n/node_modules\n.millrace/\n");
  expect(await ignoredBy(".millrace\nnode_modules\n")).toBe(".millrace\nnode_modules\n");
});

test("`init` refuses a name that no source can have, and to write over a file: nothing is written", async () => {
  const cwd = await scratchDir();
  await writeFile(join(cwd, "millrace.sql"), "mine");

  const named = await runCommand(["init", "--source", "The Shop"], { cwd });
  const taken = await runCommand(["init"], { cwd });

  expect(named).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(/^INIT_SOURCE: .+\nfix: .+\n$/) });
  expect(taken).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringMatching(/^INIT_FILE_EXISTS: millrace\.sql /),
  });
  expect(await readFile(join(cwd, "millrace.sql"), "utf8")).toBe("mine");
  await expect(readFile(join(cwd, "millrace.config.ts"))).rejects.toThrow();
});

describe.skipIf(missing("postgres", "nats"))("with servers", () => {
  test("what `init` writes for a database type-checks, holds no secret, and passes `check` once its SQL was run", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query('create table "Order `Lines`"(id int primary key); drop role if exists app');
    const cwd = await scratchDir();
    // The administrator looks; the worker's own role comes with the SQL.
    const url = database.url.replace("postgres@", "postgres:s3cret@");
    const flags = ["--source", "lines", "--url", url, "--nats", "nats://me:n4ts@127.0.0.1:4222"];

    const written = await runCommand(["init", ...flags], { cwd });
    expect(written).toMatchObject({ code: 0, stderr: "" });
    const files = /^(wrote .+\n)+/.exec(written.stdout)?.[0].trim().split("\n") ?? [];
    expect(files.map((line) => line.slice("wrote ".length))).toEqual([
      "millrace.config.ts",
      "automations/order-lines-created.ts",
      "millrace.sql",
      ".gitignore",
    ]);
    const texts = await Promise.all(files.map((line) => readFile(join(cwd, line.slice("wrote ".length)), "utf8")));
    for (const secret of ["s3cret", "n4ts"]) expect(texts.join() + written.stdout).not.toContain(secret);
    expect(typeErrors(cwd, ["millrace.config.ts", "automations/order-lines-created.ts"])).toEqual([]);

    await database.query("drop role if exists millrace");
    await database.query(texts[2] ?? "");
    const env = { DATABASE_URL: database.url.replace("postgres@", "millrace@"), NATS_URL: nats.url };
    expect(await runCommand(["check"], { cwd, env })).toMatchObject({ code: 0, stderr: "" });
  });

  test("`init` with an administrator's url makes a role for the worker, begins with a table that can be published, and says the url whole", async () => {
    await using database = await freshDatabase();
    await database.query('drop role if exists millrace; drop role if exists "Boss"');
    await database.query(`create role "Boss" login superuser; create table a_log(note text);
      create table orders(id int primary key)`);
    const cwd = await scratchDir();
    const url = database.url.replace("postgres@", "Boss:s3cret@");
    const first = await runCommand(["init", "--url", url], { cwd });

    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toContain("wrote automations/orders-created.ts");
    expect(first.stdout).toContain(`export DATABASE_URL='${url.replace("Boss:s3cret@", "millrace:PASSWORD@")}'`);
    const sql = await readFile(join(cwd, "millrace.sql"), "utf8");
    expect(sql).toContain('CREATE ROLE "millrace" LOGIN REPLICATION;');
    expect(sql).not.toContain("Boss");

    // What is there is not made again, and a worker's own url is the worker's.
    await database.query("create role millrace login replication");
    const again = await scratchDir();
    await runCommand(["init", "--url", url], { cwd: again });
    const second = await readFile(join(again, "millrace.sql"), "utf8");
    expect(second).toContain('-- the role "millrace" is there');
    expect(second).toContain('TO "millrace";');
    expect(second).not.toContain("CREATE ROLE");
    await database.query('drop role millrace; drop role "Boss"');
  });

  test("a second `dev` runs beside the first, whatever port that one has", async () => {
    const ports: string[] = [];
    for (const _ of [1, 2]) {
      const cwd = await scratchDir();
      expect(await runCommand(["init"], { cwd })).toMatchObject({ code: 0 });
      const dev = startDev(cwd);
      ports.push(String((await dev.logged("http_listening")).url));
      await dev.logged("source_started");
    }

    expect(new Set(ports).size).toBe(2);
  });

  test("what `init` writes for no database runs by `dev`, follows changes of files and tables, and ends cleanly", async () => {
    const cwd = await scratchDir();
    expect(await runCommand(["init"], { cwd })).toMatchObject({ code: 0, stderr: "" });
    const dev = startDev(cwd);

    const url = String((await dev.logged("dev_server_started", ({ server }) => server === "postgres")).url);
    await dev.logged("source_started");
    await dev.logged("automation_started");
    await query(url, "insert into orders default values");
    await dev.logged("automation_log", ({ msg }) => String(msg).startsWith("a row of public.orders was created"));

    const file = join(cwd, "automations/orders-created.ts");
    await writeFile(file, "export const broken = {");
    await dev.said(/CONFIG_LOAD_FAILED: .+orders-created\.ts:1:\d+: /);
    await dev.logged(
      "dev_reloading",
      ({ files, tables }) => `${files} ${tables}` === "automations/orders-created.ts false",
    );
    await dev.logged("dev_worker_ended");
    await writeFile(
      file,
      `import { automation, collection } from "millrace";
export const twice = automation("twice", { on: collection<{ id: string }>("shop", "public.more").created() }, async ({ log }) => {
  log.info("changed");
  throw new Error("smtp 421", { cause: new Error("no route") });
});`,
    );
    await dev.logged("automation_started", ({ automation }) => automation === "twice");
    await query(url, "create table more (id int primary key)");
    await dev.logged("dev_reloading", ({ files, tables }) => String(files) === "" && tables === true);
    await dev.logged("automation_started", ({ automation }, nth) => automation === "twice" && nth >= 2);
    await dev.logged("source_started", (_line, nth) => nth >= 2);
    await query(url, "insert into more values (1)");
    await dev.logged("automation_log", ({ msg }) => msg === "changed");
    const thrown = await dev.logged("automation_retrying");
    expect(thrown).toMatchObject({ message: "smtp 421", cause: { message: "no route" } });
    expect(thrown.at).toEqual([expect.stringMatching(/automations\/orders-created\.ts:4:9\)?$/)]);
    expect(thrown.msg).toMatch(/\[cause\]: Error: no route[\s\S]+> +4 \| {3}throw new Error\("smtp 421"/);

    dev.stop();
    expect(await dev.ended).toBe(0);
    await expect(query(url, "select 1")).rejects.toThrow();
  });
});

/** As a strict project with this package installed sees the files. */
function typeErrors(cwd: string, files: readonly string[]): readonly string[] {
  const program = ts.createProgram(
    files.map((file) => join(cwd, file)),
    {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
      allowImportingTsExtensions: true,
      types: [],
      typeRoots: [],
      paths: { millrace: [resolve("src/index.ts")] },
    },
  );
  // Of these files alone: all that they import is checked elsewhere, and takes a minute.
  const own = files.flatMap((file) => {
    const source = program.getSourceFile(join(cwd, file));
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  });
  return own.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}
