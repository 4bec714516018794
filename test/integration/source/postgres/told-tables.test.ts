// Which tables a publication tells of, and what of each: read without opening one of them, and held against the server's own list.

import { describe, expect, test } from "vitest";
import { toldColumn, toldFilter, toldTables } from "../../../../src/source/postgres/facts/told-tables.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { missing } from "../../../support/servers.ts";

const ours = (version: number): string => `
  SELECT n.nspname AS schemaname, c.relname AS tablename, ${toldFilter(version)} AS rowfilter,
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND ${toldColumn} ORDER BY a.attnum) AS attnames
  FROM ${toldTables} WHERE p.pubname = $1 ORDER BY 1, 2`;
const servers = `
  SELECT schemaname, tablename, rowfilter, attnames::text[] AS attnames FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1, 2`;

describe.skipIf(missing("postgres"))("the tables that a publication tells of", () => {
  const fixture = postgresFixture(`
    create table plain(id int primary key, note text, twice int generated always as (id * 2) stored);
    create table gone(id int primary key, first text, second text); alter table gone drop column first;
    create table parts(id int primary key, note text) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (9) partition by range (id);
    create table parts_2 partition of parts_1 for values from (0) to (5);
    create unlogged table hasty(id int primary key); create view seen as select 1;
    create schema apart; create table apart.items(id int primary key, total int); create table apart.child() inherits (plain)`);

  const PUBLISHING = [
    "for all tables",
    "for all tables with (publish_via_partition_root)",
    "for tables in schema apart",
    "for tables in schema public with (publish_via_partition_root)",
    "for tables in schema public",
    "for table parts, parts_1, parts_2, plain with (publish_via_partition_root)",
    "for table parts, plain",
    "for table only parts_1 with (publish_via_partition_root)",
    "for table only plain (id, note) where (id > 3), gone (second, id), parts where (note <> 'x') with (publish_via_partition_root, publish = 'insert')",
    "for tables in schema apart, table only apart.items where (total > 1), plain",
    "for table only plain (id, twice), gone with (publish_generated_columns = stored)",
    "for all tables with (publish_generated_columns = stored)",
  ];

  test("are those of the server's own list, with the same columns and row filters", async () => {
    const version = Number(await fixture.value("select current_setting('server_version_num')"));
    for (const publishing of PUBLISHING) {
      if (version < 180_000 && publishing.includes("generated")) continue;
      if (version < 150_000 && /schema|where/.test(publishing)) continue;
      await fixture.database.query(`create publication told ${publishing}`);
      const expected = await fixture.database.query(servers, ["told"]);

      expect(expected).not.toEqual([]);
      expect([publishing, await fixture.database.query(ours(version), ["told"])]).toEqual([publishing, expected]);
      await fixture.database.query("drop publication told");
    }
  });
});
