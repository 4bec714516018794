// What `check` says of the partitions of a table: the log names the identity of the root, and holds what the partition has.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { type CatalogTable, type Identity, identityOf, toldBy } from "../facts/catalog-tables.ts";
import type { TableFacts } from "../facts/tables.ts";
import { serves } from "./refused-writes.ts";

/** Nothing for a table without partitions, or whose partitions are as their root. */
export function partitionFindings(table: TableFacts): readonly Finding[] {
  if (!table.identified || !table.partitioned) return [];
  return [...identityFindings(table), ...comingFindings(table)];
}

function identityFindings(table: TableFacts): readonly Finding[] {
  const own = identityOf(table.own);
  const others = leavesOf(table).filter((leaf) => !isSame(identityOf(leaf), own));
  if (others.length === 0) return [];
  const key = own === "full" ? table.primaryKey : own;
  const keyless = others.filter((leaf) => key.some((column) => !toldBy(leaf, identityOf(leaf)).includes(column)));
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
function comingFindings({ schema, name, primaryKey }: TableFacts): readonly Finding[] {
  if (primaryKey.length > 0) return [];
  return [
    about(`table ${schema}.${name}`).warn(
      "PARTITIONS_TO_COME",
      "it has no primary key: the application's UPDATE and DELETE will fail in each new partition, until that is given a replica identity",
      `Give it a primary key: ALTER TABLE ${quoteTable({ schema, name })} ADD PRIMARY KEY (...); or leave it out with "!${schema}.${name}" in tables.`,
    ),
  ];
}

/** What makes them alike, if that leaves the application's writes working: the partitions as the root, or all by their key. */
function alike(table: TableFacts, others: readonly CatalogTable[]): string {
  const leaves = leavesOf(table);
  const own = identityOf(table.own);
  const byRoot = (leaf: CatalogTable): Identity =>
    own === "full" || leaves.some(({ rootIndex }) => rootIndex !== null) ? own : leaf.primaryKey;
  if (others.every((leaf) => serves(leaf, byRoot(leaf), table.version))) {
    return others
      .map((leaf) => `ALTER TABLE ${quoteTable(leaf)} REPLICA IDENTITY ${own === "full" ? "FULL" : ofRoot(leaf)};`)
      .join("\n");
  }
  if (table.primaryKey.length > 0 && leaves.every((leaf) => serves(leaf, leaf.primaryKey, table.version))) {
    return [table, ...leaves].map((one) => `ALTER TABLE ${quoteTable(one)} REPLICA IDENTITY DEFAULT;`).join("\n");
  }
  return `Read its partitions as tables of their own: "!${table.schema}.${table.name}" in tables; each replica identity is in use by a publication that refuses the others.`;
}

function leavesOf({ below }: TableFacts): readonly CatalogTable[] {
  return below.filter(({ plain }) => plain);
}

function ofRoot({ rootIndex }: CatalogTable): string {
  return rootIndex === null ? "DEFAULT" : `USING INDEX ${quoteIdentifier(rootIndex)}`;
}

function isSame(a: Identity, b: Identity): boolean {
  if (a === "full" || b === "full") return a === b;
  return a.length === b.length && a.every((column) => b.includes(column));
}

function names(leaves: readonly CatalogTable[]): string {
  return leaves.map(({ schema, name }) => `${schema}.${name}`).join(", ");
}
