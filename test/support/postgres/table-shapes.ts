// Tables of every shape that decides whether Postgres takes the application's writes once they are published, and publications
// of every kind. Each table has columns `id` and `v`; `id` 1 and 11 are in different partitions.

import type { Client } from "pg";

/** SQL by the name of the table that is read; `since` is the oldest version that knows the shape. */
export interface TableShape {
  readonly name: string;
  readonly sql: string;
  readonly since?: number;
  /** Others inherit from it: they are tables of their own. */
  readonly only?: true;
}

const BIG = "body text default repeat('x', 9000)";
const apart = (name: string): string =>
  `; alter table ${name} alter body set storage external; insert into ${name}(id, v) values (5, 5)`;
const parts = (name: string, columns: string): string =>
  `create table ${name}(${columns}) partition by range (id); create table ${name}_a partition of ${name} for values from (-9) to (10);
   create table ${name}_b partition of ${name} for values from (10) to (99)`;

export const TABLE_SHAPES: readonly TableShape[] = [
  { name: "plain", sql: "create table plain(id int primary key, v int)" },
  { name: '"Odd ""one"', sql: 'create table "Odd ""one"(id int primary key, v int)' },
  { name: "toasted", sql: `create table toasted(id int primary key, v int, ${BIG})${apart("toasted")}` },
  { name: "included", sql: "create table included(id int, v int, primary key (id) include (v))" },
  { name: "keyless", sql: "create table keyless(id int, v int)" },
  { name: "keyless_toasted", sql: `create table keyless_toasted(id int, v int, ${BIG})${apart("keyless_toasted")}` },
  { name: "keyless_unique", sql: "create table keyless_unique(id int not null unique, v int)" },
  {
    name: "keyless_stored",
    sql: "create table keyless_stored(id int, v int, s int generated always as (v * 2) stored)",
  },
  {
    name: "keyless_virtual",
    sql: "create table keyless_virtual(id int, v int, g int generated always as (v * 2) virtual)",
    since: 180_000,
  },
  {
    name: "keyless_virtual_unique",
    sql: "create table keyless_virtual_unique(id int not null unique, v int, g int generated always as (v * 2) virtual)",
    since: 180_000,
  },
  {
    name: "nothing",
    sql: "create table nothing(id int primary key, v int); alter table nothing replica identity nothing",
  },
  {
    name: "nothing_keyless",
    sql: "create table nothing_keyless(id int, v int); alter table nothing_keyless replica identity nothing",
  },
  { name: "whole", sql: "create table whole(id int primary key, v int); alter table whole replica identity full" },
  {
    name: "whole_keyless",
    sql: "create table whole_keyless(id int, v int); alter table whole_keyless replica identity full",
  },
  {
    name: "whole_stored",
    sql: "create table whole_stored(id int primary key, v int, s int generated always as (v * 2) stored); alter table whole_stored replica identity full",
  },
  {
    name: "whole_virtual",
    sql: "create table whole_virtual(id int primary key, v int, g int generated always as (v * 2) virtual); alter table whole_virtual replica identity full",
    since: 180_000,
  },
  {
    name: "whole_virtual_keyless",
    sql: "create table whole_virtual_keyless(id int, v int, g int generated always as (v * 2) virtual); alter table whole_virtual_keyless replica identity full",
    since: 180_000,
  },
  {
    name: "whole_both",
    sql: `create table whole_both(id int not null unique, v int, s int generated always as (v * 2) stored,
      g int generated always as (v * 2) virtual); alter table whole_both replica identity full`,
    since: 180_000,
  },
  {
    name: "by_index",
    sql: "create table by_index(id int not null, v int not null); create unique index by_index_v on by_index(v); alter table by_index replica identity using index by_index_v",
  },
  {
    name: "index_gone",
    sql: "create table index_gone(id int primary key, v int not null); create unique index index_gone_v on index_gone(v); alter table index_gone replica identity using index index_gone_v; drop index index_gone_v",
  },
  {
    name: "key_gone",
    sql: "create table key_gone(id int primary key, v int); alter table key_gone drop constraint key_gone_pkey",
  },
  { name: "deferred", sql: "create table deferred(id int primary key deferrable, v int)" },
  {
    name: "deferred_whole",
    sql: "create table deferred_whole(id int primary key deferrable, v int); alter table deferred_whole replica identity full",
  },
  {
    name: "stored_key",
    sql: "create table stored_key(id int, v int, s int generated always as (id * 2) stored primary key)",
  },
  {
    name: "stored_toasted",
    sql: `create table stored_toasted(id int primary key, v int, ${BIG}, s int generated always as (v * 2) stored)${apart("stored_toasted")}`,
  },
  {
    name: "virtual_toasted",
    sql: `create table virtual_toasted(id int primary key, v int, ${BIG}, g int generated always as (v * 2) virtual)${apart("virtual_toasted")}`,
    since: 180_000,
  },
  {
    name: "partial_unique",
    sql: "create table partial_unique(id int not null, v int); create unique index on partial_unique(id) where v > 0",
  },
  { name: "parts", sql: parts("parts", "id int primary key, v int") },
  {
    name: "parts_toasted",
    sql: `${parts("parts_toasted", `id int primary key, v int, ${BIG}`)}; alter table parts_toasted_a alter body set storage external; insert into parts_toasted(id, v) values (5, 5)`,
  },
  {
    name: "parts_root_full",
    sql: `${parts("parts_root_full", "id int primary key, v int")}; alter table parts_root_full replica identity full`,
  },
  {
    name: "parts_leaf_full",
    sql: `${parts("parts_leaf_full", "id int primary key, v int")}; alter table parts_leaf_full_a replica identity full`,
  },
  {
    name: "parts_leaf_nothing",
    sql: `${parts("parts_leaf_nothing", "id int primary key, v int")}; alter table parts_leaf_nothing_b replica identity nothing`,
  },
  { name: "parts_keyless", sql: parts("parts_keyless", "id int, v int") },
  {
    name: "parts_keyless_full",
    sql: `${parts("parts_keyless_full", "id int, v int")}; alter table parts_keyless_full replica identity full; alter table parts_keyless_full_a replica identity full; alter table parts_keyless_full_b replica identity full`,
  },
  {
    name: "parts_by_index",
    sql: `${parts("parts_by_index", "id int primary key, v int not null")}; create unique index parts_by_index_v on parts_by_index(v, id); alter table parts_by_index replica identity using index parts_by_index_v`,
  },
  {
    name: "parts_stored_full",
    sql: `${parts("parts_stored_full", "id int primary key, v int, s int generated always as (v * 2) stored")}; alter table parts_stored_full replica identity full; alter table parts_stored_full_a replica identity full; alter table parts_stored_full_b replica identity full`,
  },
  {
    name: "parts_virtual",
    sql: `${parts("parts_virtual", "id int primary key, v int, g int generated always as (v * 2) virtual")}; alter table parts_virtual replica identity full`,
    since: 180_000,
  },
  {
    name: "parts_virtual_full",
    sql: `${parts("parts_virtual_full", "id int primary key, v int, g int generated always as (v * 2) virtual")}; alter table parts_virtual_full replica identity full; alter table parts_virtual_full_a replica identity full`,
    since: 180_000,
  },
  {
    name: "deep",
    sql: `create table deep(id int primary key, v int) partition by range (id); create table deep_a partition of deep for values from (-9) to (10) partition by range (id);
      create table deep_aa partition of deep_a for values from (-9) to (10); create table deep_b partition of deep for values from (10) to (99); alter table deep_aa replica identity full`,
  },
  {
    name: "parent",
    sql: "create table parent(id int primary key, v int); create table child() inherits (parent)",
    only: true,
  },
  { name: "child", sql: "" },
  { name: "scratch", sql: "create unlogged table scratch(id int, v int)" },
];

export interface PublicationKind {
  readonly name: string;
  /** Before any table is added; undefined where there is none. */
  readonly create?: string;
  /** Behind ADD TABLE. */
  readonly add?: (table: string) => string;
  readonly since?: number;
}

const MARK = "comment on publication millrace_shop is 'made by millrace for the source shop'";
const named = (table: string): string => table;

/** The source reads `millrace_shop`; others are somebody's for something else. */
export const PUBLICATION_KINDS: readonly PublicationKind[] = [
  { name: "none" },
  { name: "somebody's", create: "create publication millrace_shop", add: named },
  { name: "somebody's of inserts", create: "create publication millrace_shop with (publish = 'insert')", add: named },
  {
    name: "somebody's of the key and a column",
    create: "create publication millrace_shop",
    add: (t) => `${t} (id, v)`,
    since: 150_000,
  },
  {
    name: "somebody's of a column",
    create: "create publication millrace_shop",
    add: (t) => `${t} (v)`,
    since: 150_000,
  },
  {
    name: "somebody's of some rows",
    create: "create publication millrace_shop",
    add: (t) => `${t} where (v > 0)`,
    since: 150_000,
  },
  {
    name: "somebody's by way of the root, of some rows and columns",
    create: "create publication millrace_shop with (publish_via_partition_root = true)",
    add: (t) => `${t} (id, v) where (v > 0)`,
    since: 150_000,
  },
  { name: "somebody's for all tables", create: "create publication millrace_shop for all tables" },
  {
    name: "somebody's for all inserts",
    create: "create publication millrace_shop for all tables with (publish = 'insert')",
  },
  {
    name: "somebody's for a schema",
    create: "create publication millrace_shop for tables in schema public",
    since: 150_000,
  },
  {
    name: "somebody's with generated columns",
    create:
      "create publication millrace_shop with (publish_generated_columns = stored, publish_via_partition_root = true)",
    add: named,
    since: 180_000,
  },
  { name: "somebody's of nothing yet", create: "create publication millrace_shop" },
  { name: "ours", create: `create publication millrace_shop; ${MARK}`, add: named },
  {
    name: "ours of inserts",
    create: `create publication millrace_shop with (publish = 'insert'); ${MARK}`,
    add: named,
  },
  {
    name: "ours of a column",
    create: `create publication millrace_shop; ${MARK}`,
    add: (t) => `${t} (v)`,
    since: 150_000,
  },
  { name: "another's", create: "create publication elsewhere", add: named },
  { name: "another's of the key", create: "create publication elsewhere", add: (t) => `${t} (id)`, since: 150_000 },
  {
    name: "another's of some rows",
    create: "create publication elsewhere",
    add: (t) => `${t} where (id > 0)`,
    since: 150_000,
  },
];

/** Of the server, as `server_version_num`. */
export async function versionOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    "select current_setting('server_version_num')::int as version",
  );
  return rows[0]?.version ?? 0;
}

/** What is refused, such as a column list of a table that is partitioned, is left out of the publication. */
export async function makeShapes(client: Client, shapes: readonly TableShape[], kind: PublicationKind): Promise<void> {
  for (const { sql } of shapes) await client.query(sql);
  if (kind.create === undefined) return;
  await client.query(kind.create);
  const publication = kind.create.includes("elsewhere") ? "elsewhere" : "millrace_shop";
  for (const { name } of kind.add === undefined ? [] : shapes) {
    await client.query(`alter publication ${publication} add table only ${kind.add?.(name)}`).catch(() => {});
  }
}

/** Of the shapes, those one of whose tables refuses one of the application's writes. In a transaction; nothing is left. */
export async function refusing(client: Client, shapes: readonly TableShape[]): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const { name, only } of shapes) {
    const target = only ? `only ${name}` : name;
    await client.query("savepoint probe");
    const writes = `insert into ${name}(id, v) values (1, 1), (11, 11); update ${target} set v = v + 100;
        update ${target} set id = 2 where id = 1; delete from ${target} where id < 99`;
    await client.query(writes).catch(() => found.add(subjectOf(name)));
    await client.query("rollback to probe");
  }
  return [...found];
}

/** As findings have it. */
export function subjectOf(name: string): string {
  return `table public.${name.replace(/^"(.*)"$/, "$1").replaceAll('""', '"')}`;
}
