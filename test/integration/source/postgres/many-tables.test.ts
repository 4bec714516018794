// What is read of the catalog for two tables, where a database has many others: counted in blocks, for times say little.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeTable } from "../../../../src/source/postgres/client/catalog.ts";
import { clientConfig, Session } from "../../../../src/source/postgres/client/session.ts";
import { readChecked } from "../../../../src/source/postgres/facts/checked-tables.ts";
import { readPublication, readPublished } from "../../../../src/source/postgres/facts/publication.ts";
import { findTables, readTables } from "../../../../src/source/postgres/facts/tables.ts";
import { parsePostgresConfig } from "../../../../src/source/postgres/options/config.ts";
import { readPlaces } from "../../../../src/source/postgres/tables/places.ts";
import { SHOP } from "../../../support/postgres/reader.ts";
import { type Database, freshDatabase, freshPostgres, missing } from "../../../support/servers.ts";

const NAMED = { tables: ["public.orders", "public.zz_*"] };
const OTHERS = 1500;
const EVERYTHING = { publication: "everything", slot: "none" };

const setUp = `create table orders(id int primary key, note text);
  create table zz_done(id int primary key) partition by range (id);
  create table zz_done_1 partition of zz_done for values from (0) to (10);
  create schema theirs; create table theirs.items(id int primary key);
  create publication named for table orders, zz_done with (publish_via_partition_root = true);
  create publication everything for all tables;
  create publication leaves for all tables with (publish_via_partition_root = true)`;
/** Publications for schemas are of this version. */
const SCHEMAS = 150_000;
const A_SCHEMAS = "a publication for a schema";

describe.skipIf(missing("postgres"))("with many other tables in the database, what is read for two of them", () => {
  let alone: Database;
  let crowded: Database;
  let version: number;
  beforeAll(async () => {
    const server = await freshPostgres({
      autovacuum: "off",
      max_locks_per_transaction: "2000",
      max_parallel_workers_per_gather: "0", // what a worker reads is in no account of the session's
    });
    [alone, crowded] = [await freshDatabase(server), await freshDatabase(server)];
    const [row] = await alone.query<{ version: number }>(
      "select current_setting('server_version_num')::int as version",
    );
    version = row?.version ?? 0;
    for (const database of [alone, crowded]) {
      await database.query(setUp);
      if (version >= SCHEMAS) await database.query("create publication schemas for tables in schema public");
    }
    await crowded.query(`do $$ begin for n in 1..${OTHERS} loop
      execute format('create table other_%s(id int primary key, note text)', n); end loop; end $$`);
    for (const database of [alone, crowded]) await database.query("vacuum analyze");
  });
  afterAll(async () => {
    await alone[Symbol.asyncDispose]();
    await crowded[Symbol.asyncDispose]();
  });

  const config = parsePostgresConfig({ url: "postgres://localhost/x", ...NAMED }, "sources.shop");
  const tables = async (session: Session) => (await findTables(session, config)).tables;

  test.for<[string, (session: Session) => Promise<unknown>]>([
    ["the tables that patterns name", tables],
    ["a publication that names them", (session) => readPublished(session, SHOP, "named", config.tables)],
    ["a publication for all tables", (session) => readPublished(session, SHOP, "everything", config.tables)],
    ["one for all tables, by their roots", (session) => readPublished(session, SHOP, "leaves", config.tables)],
    [A_SCHEMAS, (session) => readPublished(session, SHOP, "schemas", config.tables)],
    [
      "where their rows are told from",
      async (session) => {
        const published = await readPublished(session, SHOP, "named", config.tables);
        return published && (await readPlaces(session, published, await tables(session))).members;
      },
    ],
    [
      "what check says of them",
      async (session) => readChecked(session, (await readTables(session, config, version)).tables),
    ],
    [
      "what check says of their publication",
      async (session) => readPublication(session, SHOP, EVERYTHING, await tables(session), version),
    ],
    [
      "how a table and its types are made",
      async (session) => describeTable(session, Number((await tables(session))[0]?.oid), [{ type: 25, typmod: -1 }]),
    ],
  ])("is no more: %s", async ([what, read], { skip }) => {
    skip(version < SCHEMAS && what === A_SCHEMAS, "publications for schemas are of version 15 and newer");
    const few = await blocksOf(alone, read);
    const many = await blocksOf(crowded, read);

    expect(few.answer).not.toEqual([]);
    expect(few.blocks).toBeGreaterThan(0);
    expect(many.blocks).toBeLessThan(2 * few.blocks + 50);
  });

  test.each(["true", "false"])(
    "is what the server itself would tell of a publication with publish_via_partition_root = %s",
    async (viaRoot) => {
      await using database = await freshDatabase(alone.server);
      await database.query(`${setUp};
        create schema other; create table other.part partition of zz_done for values from (10) to (20);
        create table zz_sub partition of zz_done for values from (20) to (40) partition by range (id);
        create table zz_sub_1 partition of zz_sub for values from (20) to (30);
        create unlogged table zz_gone(id int primary key); create view zz_view as select 1 as id;
        create publication one_root for table zz_done; create publication one_part for table zz_sub;
        create publication nothing`);
      if (version >= SCHEMAS)
        await database.query(`create publication part_and_schema for table zz_sub_1, tables in schema other;
          create publication two_schemas for tables in schema public, other`);
      const names = await database.query<{ name: string }>("select pubname as name from pg_publication");
      await using session = new Session(clientConfig(SHOP, database.url));
      const every = parsePostgresConfig(
        { url: "postgres://x/x", tables: ["public.*", "oth*.*"] },
        "sources.shop",
      ).tables;
      for (const { name } of names) {
        await database.query(`alter publication ${name} set (publish_via_partition_root = ${viaRoot})`);
        const own = await database.query<{ name: string }>(
          `select schemaname || '.' || tablename as name from pg_publication_tables where pubname = $1 and schemaname <> 'theirs'
           union select n.nspname || '.' || c.relname from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
           join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace where pubname = $1
           order by 1`,
          [name],
        );
        const published = await readPublished(session, SHOP, name, every);

        const found = (published?.tables ?? []).map((table) => `${table.schema}.${table.name}`).sort();
        expect([name, found]).toEqual([name, own.map((table) => table.name).sort()]);
      }
    },
  );

  /** How many blocks a read takes when what it needs is in the session's caches. */
  async function blocksOf(database: Database, read: (session: Session) => Promise<unknown>) {
    await using session = new Session(clientConfig(SHOP, database.url));
    const catalog = await session.query<{ oid: number }>(
      `select oid from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind in ('r', 'i')
         and relname ~ '^pg_(class|index|inherits|type|attribute|publication|namespace)'`,
    );
    const oids = catalog.map(({ oid }) => oid);
    /** What this session alone read since its account was last handed over, which no session does in a transaction. */
    const told = async () => {
      const [row] = await session.query<{ blocks: number; began: string }>(
        `select sum(pg_stat_get_xact_blocks_fetched(oid))::int as blocks, now()::text as began
         from unnest($1::oid[]) oid`,
        [oids],
      );
      return row ?? expect.unreachable("a sum is one row");
    };
    const answer = await read(session);
    await session.query("begin");
    await told();
    const idle = await told();
    const before = await told();
    await read(session);
    const after = await told();
    expect(before.blocks - idle.blocks, "what the account itself reads").toBe(0);
    expect(after.began, "the transaction that it was read in").toBe(before.began);
    return { answer, blocks: after.blocks - before.blocks };
  }
});
