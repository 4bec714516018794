// What `check` says of the partitions of a table: the log names the identity of the root, and holds what the partition has.

import type { Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { type Identity, serves } from "../tables/refused-writes.ts";
import type { FoundTable } from "../tables/tables.ts";
import type { WrittenTable } from "../tables/written-tables.ts";

/** A partition that holds rows. */
export interface Leaf {
  readonly schema: string;
  readonly name: string;
  readonly full: boolean;
  /** By which it tells rows apart; with replica identity FULL all columns. */
  readonly identity: readonly string[];
  /** Its part of the index that is its root's replica identity, where an index is. */
  readonly rootIndex: string | null;
}

/** Of a table or the root of a partitioned one. */
export interface IdentifiedTable extends FoundTable {
  /** By which updates and deletes tell rows apart; with replica identity FULL all of them. */
  readonly identity: readonly string[];
  readonly full: boolean;
  /** Its columns; empty for a table without one. */
  readonly primaryKey: readonly string[];
  /** Of the server, as `server_version_num`. */
  readonly version: number;
  /** Of a partitioned table. */
  readonly leaves: readonly Leaf[];
  /** Those that hold its rows: itself, or its partitions. */
  readonly written: readonly WrittenTable[];
}

/** Nothing for a table without partitions, or whose partitions are as their root. */
export function partitionFindings(table: IdentifiedTable): readonly Finding[] {
  if (!table.identified || !table.partitioned) return [];
  return [...identityFindings(table), ...comingFindings(table)];
}

function identityFindings(table: IdentifiedTable): readonly Finding[] {
  const others = table.leaves.filter((leaf) => leaf.full !== table.full || !sameColumns(leaf, table));
  if (others.length === 0) return [];
  const key = table.full ? table.primaryKey : table.identity;
  const keyless = others.filter(({ identity }) => key.some((column) => !identity.includes(column)));
  const finding = {
    code: "PARTITION_IDENTITY",
    subject: `table ${table.schema}.${table.name}`,
    fix: alike(table, others),
  };
  if (keyless.length > 0) {
    const message = `the log holds no key of rows that are deleted from ${names(keyless)}, whose replica identity is another than the root's: they would become dead letters`;
    return [{ ...finding, level: "fail", message }];
  }
  const message = `${names(others)} and the root have different replica identities: events have no more before a row than its key`;
  return [{ ...finding, level: "warn", message }];
}

/** Replica identities are not inherited; a primary key is. */
function comingFindings({ schema, name, primaryKey }: IdentifiedTable): readonly Finding[] {
  if (primaryKey.length > 0) return [];
  return [
    {
      level: "warn",
      code: "PARTITIONS_TO_COME",
      subject: `table ${schema}.${name}`,
      message:
        "it has no primary key: the application's UPDATE and DELETE will fail in each new partition, until that is given a replica identity",
      fix: `Give it a primary key: ALTER TABLE ${quoteTable({ schema, name })} ADD PRIMARY KEY (...); or leave it out with "!${schema}.${name}" in tables.`,
    },
  ];
}

/** What makes them alike, if that leaves the application's writes working: the partitions as the root, or all by their key. */
function alike(table: IdentifiedTable, others: readonly Leaf[]): string {
  const may = (one: Pick<Leaf, "schema" | "name">, identity: (own: WrittenTable) => Identity): boolean => {
    const own = table.written.find(({ schema, name }) => schema === one.schema && name === one.name);
    return own === undefined || serves(own, identity(own), table.version);
  };
  const byRoot = (own: WrittenTable): Identity =>
    table.full ? "full" : hasIndex(table) ? table.identity : own.primaryKey;
  if (others.every((leaf) => may(leaf, byRoot))) {
    return others.map((leaf) => `ALTER TABLE ${quoteTable(leaf)} REPLICA IDENTITY ${ofRoot(table, leaf)};`).join("\n");
  }
  if (table.primaryKey.length > 0 && table.leaves.every((leaf) => may(leaf, ({ primaryKey }) => primaryKey))) {
    return [table, ...table.leaves].map((one) => `ALTER TABLE ${quoteTable(one)} REPLICA IDENTITY DEFAULT;`).join("\n");
  }
  return `Read its partitions as tables of their own: "!${table.schema}.${table.name}" in tables; each replica identity is in use by a publication that refuses the others.`;
}

function hasIndex({ leaves }: IdentifiedTable): boolean {
  return leaves.some(({ rootIndex }) => rootIndex !== null);
}

function ofRoot({ full }: IdentifiedTable, { rootIndex }: Leaf): string {
  if (full) return "FULL";
  return rootIndex === null ? "DEFAULT" : `USING INDEX ${quoteIdentifier(rootIndex)}`;
}

function sameColumns(
  a: { readonly identity: readonly string[] },
  b: { readonly identity: readonly string[] },
): boolean {
  return a.identity.length === b.identity.length && a.identity.every((column) => b.identity.includes(column));
}

function names(leaves: readonly Leaf[]): string {
  return leaves.map(({ schema, name }) => `${schema}.${name}`).join(", ");
}
