// What `check` finds of an outbox, each with the SQL that mends it.

import { describe, expect, test } from "vitest";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { outboxFindings } from "../../../src/source/postgres/check/check-outbox.ts";
import { Session } from "../../../src/source/postgres/client/session.ts";
import { readOutbox } from "../../../src/source/postgres/facts/outbox.ts";
import { parsePostgresConfig } from "../../../src/source/postgres/options/config.ts";
import { type Finding, sqlOf } from "../../../src/telemetry/finding.ts";
import { failureOf, openShop } from "../../support/postgres/reader.ts";
import { type Database, freshDatabase, missing } from "../../support/servers.ts";

async function codes(database: Database, outbox: unknown, user = "postgres"): Promise<readonly (readonly string[])[]> {
  const url = database.url.replace(/\/\/[^@]*@/, `//${user}@`);
  await using session = new Session({ connectionString: url });
  const config = parsePostgresConfig({ url, outbox }, "sources.shop");
  return outboxFindings(config, await readOutbox(session, config))
    .filter(({ code }) => code !== "MESSAGES_BY_ANYBODY")
    .map(({ level, code, fix = "" }) => [level, code, fix]);
}

async function outboxFindingsOf({ url }: Database, options: object): Promise<readonly Finding[]> {
  await using session = new Session({ connectionString: url });
  const config = parsePostgresConfig({ url, ...options }, "sources.shop");
  return outboxFindings(config, await readOutbox(session, config));
}

/** What it says of who may write messages. */
async function messages(database: Database, options: object): Promise<Finding> {
  return (
    (await outboxFindingsOf(database, options)).find(({ code }) => code === "MESSAGES_BY_ANYBODY") ??
    expect.unreachable()
  );
}

/** How many of the outbox's rows a role may delete. */
async function deletableBy(database: Database, role: string): Promise<number> {
  const client = await database.connect();
  await client.query(`begin; set role ${role}`);
  const { rowCount } = await client.query("delete from millrace.outbox");
  await client.query("rollback");
  await client.end();
  return rowCount ?? 0;
}

describe.skipIf(missing("postgres"))("an outbox", () => {
  test("as the migrations make it is fine, and none is no matter", async () => {
    await using database = await freshDatabase();
    await database.query(migrationSql("outbox"));

    expect(await codes(database, true)).toEqual([["ok", "OUTBOX", ""]]);
    expect(await codes(database, false)).toEqual([]);
  });

  test("without a column that is needed is refused", async () => {
    await using database = await freshDatabase();
    await database.query("create table public.events(id uuid primary key, type text)");

    const [finding] = await codes(database, { table: "public.events" });
    expect(finding?.slice(0, 2)).toEqual(["fail", "OUTBOX_COLUMNS_MISSING"]);
    const options = { tables: ["public.*"], outbox: { table: "public.events" } };
    expect(await failureOf(openShop(database.url, { options }))).toMatchObject({ code: "OUTBOX_COLUMNS_MISSING" });
  });

  test("of Debezium's columns is given the one that keep needs by what the finding prints", async () => {
    await using database = await freshDatabase();
    await database.query(`create table public.outboxevent(id uuid primary key, aggregatetype varchar(255) not null,
      aggregateid varchar(255) not null, type varchar(255) not null, payload jsonb);
      alter database ${new URL(database.url).pathname.slice(1)} set millrace.outbox = 'delete'`);
    const outbox = { table: "public.outboxevent", keep: "7d" };
    const [[level, code, fix = ""] = []] = await codes(database, outbox);
    expect([level, code]).toEqual(["fail", "OUTBOX_COLUMNS_MISSING"]);
    await database.query(fix);

    expect(await codes(database, outbox)).toEqual([["ok", "OUTBOX", ""]]);
  });

  test("whose rows the worker may not delete is refused, until it may", async () => {
    await using database = await freshDatabase();
    await database.query(`${migrationSql("outbox")}; create role cleaner login replication; create table public.item(id int primary key);
      create publication millrace_shop for table public.item, millrace.outbox;
      alter database ${new URL(database.url).pathname.slice(1)} set millrace.outbox = 'keep'`);
    const [[level, code, fix] = []] = await codes(database, { keep: "7d" }, "cleaner");
    const url = database.url.replace("postgres@", "cleaner@");
    const start = await failureOf(openShop(url, { options: { outbox: { keep: "7d" } } }));
    const without = await openShop(url, { options: { outbox: true } });
    await without[Symbol.asyncDispose]();
    await database.query(fix ?? "");
    const after = await codes(database, { keep: "7d" }, "cleaner");
    await database.query("drop owned by cleaner; drop role cleaner");

    expect([level, code]).toEqual(["fail", "OUTBOX_CLEAN_UP"]);
    expect(start).toMatchObject({ code: "OUTBOX_CLEAN_UP", hint: expect.stringContaining("GRANT USAGE ON SCHEMA") });
    expect(after).toEqual([["ok", "OUTBOX", ""]]);
  });

  test("whose functions are an older version's, or altered, is warned of until the printed SQL has run", async () => {
    await using database = await freshDatabase();
    await database.query(`${migrationSql("outbox")}; alter function millrace.emit reset all`);
    const before = await codes(database, true);
    await database.query(migrationSql("outbox"));

    expect(before.map(([level, code]) => [level, code])).toEqual([
      ["ok", "OUTBOX"],
      ["warn", "OUTBOX_FUNCTIONS_OLD"],
    ]);
    expect(await codes(database, true)).toEqual([["ok", "OUTBOX", ""]]);
  });

  test("whose schema or functions somebody else made first is warned of, also by the SQL, until they belong to the database's owner", async () => {
    await using database = await freshDatabase();
    await database.query(`create role "early Bird"; create schema millrace authorization "early Bird";
      create function millrace.emit() returns void language sql as ''; alter function millrace.emit() owner to "early Bird"`);
    const client = await database.connect();
    const said: string[] = [];
    client.on("notice", ({ severity, message = "" }) => {
      if (severity === "WARNING") said.push(message);
    });
    try {
      await client.query(migrationSql("outbox"));
      const before = await codes(database, true);
      const [, , fix = ""] = before.find(([, code]) => code === "OUTBOX_OWNER") ?? [];
      expect(before.map(([level, code]) => [level, code])).toContainEqual(["warn", "OUTBOX_OWNER"]);
      expect(fix).toMatch(
        /^BEGIN; ALTER FUNCTION millrace\.emit\(\) OWNER TO \w+; GRANT .*\nBEGIN; ALTER SCHEMA .* COMMIT; -- /,
      );
      expect(said.splice(0)).toEqual([expect.stringMatching(/^OUTBOX_OWNER: .* is owned by "early Bird", who may/)]);

      await database.query(fix);
      await client.query(migrationSql("outbox"));
      expect(said).toEqual([]);
      expect((await codes(database, true)).map(([, code]) => code)).not.toContain("OUTBOX_OWNER");
    } finally {
      await client.end();
      await database.query('drop owned by "early Bird"; drop role "early Bird"');
    }
  });

  test.each([
    ["id bigint primary key", "id is int8"],
    ["id uuid primary key, payload bytea", "payload is bytea"],
    ["id uuid primary key, headers text[]", "headers is _text"],
    ["id uuid primary key, type jsonb", "type is jsonb"],
    ["id public.number primary key", "id is int8"],
  ])("with columns that no event can be made of (%s) is refused, and says which", async (columns, said) => {
    await using database = await freshDatabase();
    await database.query("create domain public.number as int8; create domain public.short as varchar(36)");
    const rest = "id uuid, aggregatetype public.short, aggregateid int, type varchar(255), payload text, headers jsonb";
    const own = rest.split(", ").filter((column) => !columns.includes(`${column.split(" ")[0]} `));
    await database.query(`create table public.events(${[columns, ...own].join(", ")})`);
    const options = { tables: ["public.*"], outbox: { table: "public.events" } };
    const failure = await failureOf(openShop(database.url, { options }));

    expect(failure).toMatchObject({ code: "OUTBOX_COLUMNS_UNFIT", message: expect.stringContaining(said) });
    await database.query(`drop table public.events; create table public.events(${rest}, primary key (id))`);
    expect(await codes(database, { table: "public.events" })).toEqual([["ok", "OUTBOX", ""]]);
  });

  test("whose row level security keeps rows that should go is warned of, until a policy lets them go", async () => {
    await using database = await freshDatabase();
    await database.query(`${migrationSql("outbox")}; create role teller; grant usage on schema millrace to teller;
      grant select, insert, delete on millrace.outbox to teller; alter table millrace.outbox enable row level security;
      create policy tell on millrace.outbox for insert with check (true)`);
    const [[level, code, fix] = []] = await codes(database, true);
    const client = await database.connect();
    const notices: (string | undefined)[] = [];
    client.on("notice", ({ message }) => notices.push(message));
    const emit = (): Promise<unknown> =>
      client.query("set role teller; select millrace.emit('a.b', 'k', '1'); reset role");
    await emit();
    const kept = await database.query("delete from millrace.outbox returning 1");
    await database.query(fix ?? "");
    await emit();
    await client.end();

    expect([level, code, kept.length]).toEqual(["warn", "OUTBOX_ROWS_STAY", 1]);
    expect(notices).toEqual([expect.stringContaining("OUTBOX_ROWS_STAY")]);
    expect(await codes(database, true)).toEqual([["ok", "OUTBOX", ""]]);
    expect(await database.query("select from millrace.outbox")).toEqual([]);
    await database.query("drop owned by teller; drop role teller");
  });

  test("whose rows are kept under row level security lets the worker alone see and delete those of all", async () => {
    await using database = await freshDatabase();
    await database.query(`${migrationSql("outbox")}; create role cleaner login; create role tenant;
      grant usage on schema millrace to cleaner, tenant; grant select, insert, delete on millrace.outbox to cleaner, tenant;
      alter table millrace.outbox enable row level security;
      alter database ${new URL(database.url).pathname.slice(1)} set millrace.outbox = 'keep'`);
    const [[level, code, fix] = []] = await codes(database, { keep: "7d" }, "cleaner");
    for (const line of sqlOf(fix)) await database.query(line);
    await database.query("set millrace.outbox = 'keep'; select millrace.emit('a.b', 'k', '1')");

    expect([level, code]).toEqual(["warn", "OUTBOX_ROWS_STAY"]);
    expect(await deletableBy(database, "tenant")).toBe(0);
    expect(await deletableBy(database, "cleaner")).toBe(1);
    await database.query("drop owned by cleaner, tenant; drop role cleaner, tenant");
  });

  test("is warned of while everybody may write messages, with what narrows it", async () => {
    await using database = await freshDatabase();
    const before = await messages(database, { outbox: { mode: "message" }, messages: ["audit"] });
    for (const line of sqlOf(before.fix)) await database.query(line);
    const granted = await messages(database, { messages: ["audit"] });
    const [, revoke = ""] = /: (REVOKE .*)$/.exec(before.fix ?? "") ?? [];
    await database.query(revoke);

    expect(before).toMatchObject({
      level: "warn",
      message: expect.stringContaining('domain events, messages "audit"'),
    });
    expect(granted).toMatchObject({ level: "warn" }); // whoever else writes some has not lost the right
    expect(await messages(database, { outbox: true })).toMatchObject({ level: "ok" });
    expect(await messages(database, { messages: ["audit"] })).toMatchObject({ level: "ok" });
  });

  test.each([
    ["rows", { outbox: true }, "delete"],
    ["messages", { outbox: { mode: "message" } }, "message"],
  ])(
    "whose schema is the application's own role's goes on taking its %s, whatever of the printed SQL is run",
    async (_, options, mode) => {
      await using database = await freshDatabase();
      await database.query(`create role "App"; create schema millrace authorization "App";
        grant create on database ${new URL(database.url).pathname.slice(1)} to "App";
        set role "App"; ${migrationSql("outbox")}; ${migrationSql("inbox")}; reset role`);
      try {
        const findings = await outboxFindingsOf(database, options);
        for (const { fix } of findings) for (const line of sqlOf(fix)) await database.query(line);
        await database.query(`set role "App"; set millrace.outbox = '${mode}'; select millrace.emit('a.b', 'k', '1');
          insert into millrace.inbox (automation, event_id) values ('a', 'e'); delete from millrace.inbox;
          reset role; reset millrace.outbox`);

        expect(findings.map(({ code }) => code)).toEqual(
          expect.arrayContaining(["OUTBOX_OWNER", "MESSAGES_BY_ANYBODY"]),
        );
        expect((await outboxFindingsOf(database, options)).map(({ code }) => code)).not.toContain("OUTBOX_OWNER");
      } finally {
        await database.query('reset role; drop owned by "App"; drop role "App"');
      }
    },
  );

  test("that reads only rows is refused where the database writes messages, until it is set", async () => {
    await using database = await freshDatabase();
    const name = new URL(database.url).pathname.slice(1);
    await database.query(`${migrationSql("outbox")}; alter database ${name} set millrace.outbox = 'message';
      create table public.item(id int primary key)`);
    const refused = await failureOf(openShop(database.url, { options: { outbox: true } }));
    const [, [level, code, fix] = []] = await codes(database, true);
    await database.query(fix ?? "");

    expect(refused).toMatchObject({ code: "OUTBOX_SETTING" });
    expect([level, code]).toEqual(["fail", "OUTBOX_SETTING"]);
    expect(await codes(database, true)).toEqual([["ok", "OUTBOX", ""]]);
  });

  test("whose database is set otherwise is warned of, until it is set", async () => {
    await using database = await freshDatabase();
    await database.query(migrationSql("outbox"));
    const found = await codes(database, { mode: "message" });
    await database.query(found[0]?.[2] ?? "");

    expect(found.map(([level, code]) => [level, code])).toEqual([["warn", "OUTBOX_SETTING"]]);
    expect(await codes(database, { mode: "message" })).toEqual([]);
  });
});
