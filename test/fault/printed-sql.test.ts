// All SQL that we print, run over tables of every shape and publications of every kind: the application's writes go on.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { SourceId } from "../../src/event/source-id.ts";
import { outbox } from "../../src/outbox/emit.ts";
import { migrationSql } from "../../src/outbox/migration-sql.ts";
import { outboxSql } from "../../src/source/postgres/check/outbox-sql.ts";
import { eventTriggerSql } from "../../src/source/postgres/commands/event-trigger-sql.ts";
import { exampleSql, publicationSql } from "../../src/source/postgres/commands/setup-sql.ts";
import { parsePostgresConfig } from "../../src/source/postgres/options/config.ts";
import { type Finding, isStatement, sqlOf } from "../../src/telemetry/finding.ts";
import { findingsOf } from "../support/postgres/findings.ts";
import type { OlderPostgres } from "../support/postgres/older-postgres.ts";
import { openShop, Reading } from "../support/postgres/reader.ts";
import {
  makeShapes,
  PUBLICATION_KINDS,
  type PublicationKind,
  refusing,
  TABLE_SHAPES,
  type TableShape,
  versionOf,
} from "../support/postgres/table-shapes.ts";
import { type Database, freshDatabase, freshPostgres, missing } from "../support/servers.ts";

const SHOP = "shop" as SourceId;
/** Those between have the rules of 15. */
const VERSIONS: readonly (OlderPostgres | "postgres")[] = ["postgres", "postgres14", "postgres15"];
/** Then nothing is printed for the server itself. */
const BOUNDED = { max_slot_wal_keep_size: "1GB" };
/** What is printed may lead to something else that is printed. */
const ROUNDS = 3;
/** Say that the application's writes fail now. */
const ASCII = /^[\0-\x7f]*$/;
const BROKEN = ["ROW_FILTER_OFF_KEY", "COLUMN_LIST_LACKS_KEY", "GENERATED_IN_IDENTITY"];

describe("the SQL that is printed", () => {
  test("is ASCII, as is all text of the files that print it", async () => {
    const root = join(import.meta.dirname, "../..");
    const files: string[] = [];
    for (const directory of ["migrations", "src/source", "src/outbox", "src/automation"])
      for (const file of await readdir(join(root, directory), { recursive: true }))
        if (/\.(sql|ts)$/.test(file)) files.push(join(root, directory, file));
    const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
    const lines = texts.flatMap((text) => text.split("\n"));

    expect(lines.length).toBeGreaterThan(1000);
    expect(lines.filter((line) => !ASCII.test(line) && !/^\s*(\/\/|\/?\*|.*\s\/\/ )/.test(line))).toEqual([]);
  });

  test.skipIf(missing("postgres"))("runs in a LATIN1 database, and what emit() writes there is read", async () => {
    await using maintenance = await freshDatabase();
    await maintenance.query("create database latin template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'");
    const url = new URL(maintenance.url);
    url.pathname = "/latin";
    const client = new Client({ connectionString: url.href });
    await client.connect();
    try {
      await client.query("create table public.plain(id int primary key)");
      const config = parsePostgresConfig(
        { url: url.href, tables: ["public.*"], outbox: { keep: "1d" } },
        "sources.shop",
      );
      const printed = [
        ...exampleSql(SHOP, { ...config, publication: "example" }, { schema: "public", name: "plain" }),
        ...(["outbox", "inbox"] as const).map(migrationSql),
        ...outboxSql(config),
        ...eventTriggerSql(),
      ].join("\n");
      expect(printed).toMatch(ASCII);
      await client.query(printed);
      const publication = (await publicationSql(SHOP, config)).join("\n");
      expect(publication).toMatch(ASCII);
      await client.query(publication);
      const options = { tables: ["public.*"], outbox: { keep: "1d" } };
      await using source = await openShop(url.href, { options });
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the first marker");
      await client.query("begin; set local millrace.outbox = 'keep'");
      await outbox(client).emit("caf\u00e9.opened", { key: "\u00e9", data: "Z\u00fcrich", headers: { a: "\u00fc" } });
      await client.query("commit");
      await reading.until(() => reading.events.some(({ subject }) => subject.startsWith("events.")), "the event");
      const event = reading.events.find(({ subject }) => subject.startsWith("events.")) ?? expect.unreachable();
      await reading.stop();

      expect(event.head).toContain("ce-type: caf%C3%A9.opened\r\n");
      expect(event.head).toContain("a: %C3%BC\r\n");
      expect(Buffer.from(event.data).toString()).toBe('"Z\u00fcrich"');
    } finally {
      await client.query(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = 'latin'",
      );
      await client.end();
      await maintenance.query("drop database latin with (force)");
      await maintenance.query("drop role if exists millrace");
    }
  });
});

describe.each(VERSIONS)("%s: the SQL that is printed", (name) => {
  describe.skipIf(missing(name))("leaves the application's writes working", () => {
    let server: ReturnType<typeof freshPostgres> | undefined;
    let database: Database;
    let client: Client;
    let shapes: readonly TableShape[];

    beforeEach(async () => {
      server ??= freshPostgres(BOUNDED, name === "postgres" ? undefined : inject("olderPostgres")[name]);
      database = await freshDatabase(await server);
      client = await database.connect();
      await client.query("drop role if exists least; create role least login replication");
    });
    afterEach(async () => {
      await client.end();
      await database[Symbol.asyncDispose]();
    });

    const make = async (kind: PublicationKind): Promise<boolean> => {
      const version = await versionOf(client);
      shapes = TABLE_SHAPES.filter(({ since = 0 }) => since <= version);
      if ((kind.since ?? 0) > version) return false;
      await makeShapes(client, shapes, kind);
      return true;
    };
    /** Tables whose writes are refused behind some SQL, which is then taken back. */
    const refusedBehind = async (lines: readonly string[]): Promise<readonly string[]> => {
      await client.query("begin");
      for (const line of lines) await client.query(line.replace(/^BEGIN; (.*) COMMIT;/, "$1"));
      const refused = await refusing(client, shapes);
      await client.query("rollback");
      return refused;
    };
    // Without the worker's rights: what it would do by itself is printed too.
    const check = (role = "least"): Promise<readonly Finding[]> =>
      findingsOf(database.url.replace("postgres@", `${role}@`));

    test.each(PUBLICATION_KINDS)("with a publication, $name: each by itself, and all together", async (kind) => {
      if (!(await make(kind))) return;
      const before = await refusedBehind([]);
      for (const { fix } of await check()) {
        expect(fix ?? "").toMatch(ASCII);
        expect(sqlOf(fix)).toEqual((fix ?? "").split("\n").filter(isStatement)); // none is for another server
        const broken = await refusedBehind(sqlOf(fix));
        expect(
          broken.filter((table) => !before.includes(table)),
          fix,
        ).toEqual([]);
      }

      for (let round = 0; round < ROUNDS; round++) {
        for (const { fix } of await check()) for (const line of sqlOf(fix)) await client.query(line);
        const broken = await refusedBehind([]);
        expect(broken.filter((table) => !before.includes(table))).toEqual([]);
      }
      const failed = (await check()).filter(({ level, fix }) => level === "fail" && sqlOf(fix).length > 0);
      expect(failed).toEqual([]);
    });

    test.each(PUBLICATION_KINDS.filter(({ create = "" }) => !create.includes("elsewhere")))(
      "with a publication, $name: check fails for the tables whose writes are refused, and says it of no others",
      async (kind) => {
        if (!(await make(kind))) return;
        const refused = await refusedBehind([]);
        for (const role of ["least", "postgres"]) {
          const failed = (await check(role)).filter(({ level }) => level === "fail");
          const said = failed.filter(
            ({ code, message }) => BROKEN.includes(code) || message.includes("is published, so"),
          );
          expect([...new Set(said.map(({ subject }) => subject))].sort()).toEqual([...refused].sort());
        }
      },
    );

    test("that of sql and init, for what is fit and what is not", async () => {
      await make({ name: "none" });
      const unfit = (await check()).filter(({ code }) => code === "TABLE_WITHOUT_IDENTITY");
      const tables = ["public.*", ...unfit.map(({ subject }) => `!${subject.replace("table ", "")}*`)];
      await client.query(migrationSql("outbox"));
      const config = parsePostgresConfig({ url: database.url, tables, outbox: true }, "sources.shop");
      const printed = [
        ...exampleSql(SHOP, { ...config, publication: "example" }, { schema: "public", name: "plain" }),
        ...(await publicationSql(SHOP, config)),
        ...outboxSql(config),
      ];
      for (const sql of [...sqlOf(printed.join("\n")), ...(["outbox", "inbox"] as const).map(migrationSql)]) {
        await client.query(sql);
      }
      await client.query(eventTriggerSql().join("\n"));

      expect(unfit.length).toBeGreaterThan(5);
      expect(await refusedBehind([])).toEqual([]);
    });
  });
});
