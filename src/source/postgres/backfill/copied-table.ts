// A table as a slice of it is read: its columns as the log would have them, its key in the order of its index, and the SQL.

import { ConfigError } from "../../../errors.ts";
import { formatCollectionName } from "../../../event/collection-name.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import type { Relation } from "../decode/table.ts";
import { toldColumn, toldFilter, toldTables } from "../facts/told-tables.ts";
import { behindOf, inOrder, isOneOf, type KeyTexts, type Operators, upToAndWith } from "./key-order.ts";

/** What the catalog says of it, in the slice's own snapshot. */
export interface CopiedTable {
  readonly oid: string;
  readonly namespace: string;
  readonly name: string;
  readonly partitioned: boolean;
  readonly identity: string;
  /** Whether its rows lie in it as in Postgres' own tables. */
  readonly heap: boolean;
  /** Only the rows that the role's policies let through would be seen. */
  readonly rowSecurity: boolean;
  /** Quoted where it must be. */
  readonly role: string;
  readonly columns: readonly (Relation["columns"][number] & { readonly sqlType: string })[];
  /** Names, in the order of the index; empty where the log carries no key. */
  readonly key: readonly string[];
  /** For each of them, how its index compares; null where that is what the column's own operators do, which are found by their names. */
  readonly operators: readonly Operators[] | null;
  /** Another text where their types are others, or how the index compares them. */
  readonly order: string;
  /** The publication's row filter, in SQL; null without. */
  readonly filter: string | null;
}

/**
 * Values: publication, schema, table; `search_path` must be pg_catalog alone. No row where the publication does not have it.
 * @param version of the server, as `server_version_num`
 */
export const copiedTable = (version: number): string => `
  SELECT c.oid::int8::text AS oid, n.nspname AS namespace, c.relname AS name, c.relkind = 'p' AS partitioned,
    EXISTS (SELECT FROM pg_am a WHERE a.oid = c.relam AND a.amname = 'heap') AS heap,
    c.relreplident AS identity, row_security_active(c.oid) AS "rowSecurity", quote_ident(current_user) AS role,
    ${toldFilter(version)} AS filter,
    (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8, 'typmod', a.atttypmod,
        'identity', coalesce(a.attnum = ANY ((k.indkey::int2[])[0:k.indnkeyatts - 1]), false),
        'sqlType', format_type(a.atttypid, -1)) ORDER BY a.attnum), '[]')
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND ${toldColumn}) AS columns,
    (SELECT coalesce(json_agg(a.attname ORDER BY x.place), '[]')
      FROM unnest((k.indkey::int2[])[0:k.indnkeyatts - 1]) WITH ORDINALITY x (attnum, place)
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.attnum) AS key,
    i.operators, i."order"
  FROM ${toldTables}
  LEFT JOIN pg_index k ON k.indrelid = c.oid AND k.indisvalid
    AND CASE WHEN c.relreplident = 'i' THEN k.indisreplident WHEN c.relreplident = 'd' THEN k.indisprimary AND k.indimmediate WHEN c.relreplident = 'f' THEN k.indisprimary END
  CROSS JOIN LATERAL (
    SELECT CASE WHEN bool_or(o.own OR NOT f.opcdefault OR l.oid IS NOT NULL)
        THEN json_agg(o.operators || jsonb_build_object('collate', coalesce(' COLLATE ' || quote_ident(ln.nspname) || '.' || quote_ident(l.collname), '')) ORDER BY x.place) END AS operators,
      left(md5(coalesce(string_agg(format('%s %s %s', format_type(a.atttypid, a.atttypmod), x.coll, f.oid), ',' ORDER BY x.place), '')), 12) AS "order"
    FROM unnest((k.indkey::int2[])[0:k.indnkeyatts - 1], (k.indclass::oid[])[0:k.indnkeyatts - 1], (k.indcollation::oid[])[0:k.indnkeyatts - 1])
      WITH ORDINALITY x (attnum, opclass, coll, place)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.attnum
    JOIN pg_opclass f ON f.oid = x.opclass
    LEFT JOIN pg_collation l ON l.oid = x.coll AND l.oid <> a.attcollation
    LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
    CROSS JOIN LATERAL (
      SELECT bool_or(w.nspname <> 'pg_catalog') AS own,
        jsonb_object_agg(m.amopstrategy, format('OPERATOR(%I.%s)', w.nspname, p.oprname)) AS operators
      FROM pg_amop m JOIN pg_operator p ON p.oid = m.amopopr JOIN pg_namespace w ON w.oid = p.oprnamespace
      WHERE m.amopfamily = f.opcfamily AND m.amoplefttype = f.opcintype AND m.amoprighttype = f.opcintype) o) i
  WHERE p.pubname = $1 AND n.nspname = $2 AND c.relname = $3`;

/** Whether its events carry no key: with REPLICA IDENTITY FULL they have whole rows, else there are only inserts. */
export function isKeyless({ key }: CopiedTable): boolean {
  return key.length === 0;
}

/** Why its rows cannot be copied by a key, nor without one; undefined where they can. */
function unfit(table: CopiedTable): string | undefined {
  if (!table.key.every((key) => table.columns.some((column) => column.name === key)))
    return "its events carry no key that its rows could be told apart by: a column of it is not published";
  if (!isKeyless(table)) return undefined;
  if (table.partitioned) return "it is partitioned and its events carry no key: its rows have no order to go on in";
  return table.heap ? undefined : "its events carry no key, and it is none of Postgres' own kind of tables";
}

/** @throws ConfigError BACKFILL_REFUSED where a copy of it would not be whole */
export function refuseUnfit(table: CopiedTable): void {
  const name = quoteTable({ schema: table.namespace, name: table.name });
  const why = unfit(table);
  if (why !== undefined) {
    throw new ConfigError("BACKFILL_REFUSED", `${name} cannot be copied: ${why}`, {
      hint: `Give it a key that is published (ALTER TABLE ${name} ADD PRIMARY KEY ...), or go on without it: millrace backfill resume <source> --without ${formatCollectionName({ namespace: table.namespace, collection: table.name })}`,
    });
  }
  if (table.rowSecurity) {
    throw new ConfigError(
      "BACKFILL_REFUSED",
      `${name} cannot be copied: the role ${table.role} sees only rows that its policies let through`,
      {
        hint: `Let an administrator run: ALTER ROLE ${table.role} BYPASSRLS;`,
      },
    );
  }
}

/** A row of which a value is none of its type. */
export function unreadable({ namespace, name }: CopiedTable, cause: Error): ConfigError {
  const what = `a row of ${quoteTable({ schema: namespace, name })} cannot be copied: ${cause.message}`;
  return new ConfigError("BACKFILL_ROW_UNREADABLE", what, {
    hint: "Mend the row, leave the column out of the source, or go on without the table: millrace backfill resume <source> --without <table>",
    cause,
  });
}

/** With its partitions; never with what only inherits from it, which is a table of its own to the log. */
export function fromClause({
  namespace,
  name,
  partitioned,
}: Pick<CopiedTable, "namespace" | "name" | "partitioned">): string {
  return `${partitioned ? "" : "ONLY "}${quoteTable({ schema: namespace, name })}`;
}

/** What is read of it: rows behind a key, from the first on without one, up to and with another; or those with certain keys. */
export interface Rows {
  readonly behind: KeyTexts | undefined;
  readonly upTo: KeyTexts | undefined;
  /** Only those that no slice comes by again: up to and with `behind`, where there is one, and behind `upTo`. */
  readonly keys: readonly KeyTexts[] | undefined;
  /** Behind this one of them: the page before in the same snapshot ends with it. */
  readonly from?: KeyTexts | undefined;
  readonly limit: number;
}

export function selectRows(table: CopiedTable, { behind, upTo, keys, from, limit }: Rows): string {
  const { columns, filter } = table;
  const passed = behind === undefined ? [] : [...upToAndWith(table, behind), ...behindOf(table, upTo)];
  const conditions = [
    ...(filter === null ? [] : [`(${filter})`]),
    ...(keys === undefined
      ? [...behindOf(table, from ?? behind), ...upToAndWith(table, upTo)]
      : [isOneOf(table, keys), ...(passed.length === 0 ? [] : [`(${passed.join(" OR ")})`]), ...behindOf(table, from)]),
  ];
  const selected = columns.map(({ name }) => quoteIdentifier(name)).join(", ");
  return `SELECT ${selected} FROM ${fromClause(table)}${where(conditions)} ORDER BY ${inOrder(table)} LIMIT ${limit}`;
}

/** The key of the last of so many rows behind a key, whether or not they pass the filter; no row where there are fewer. */
export function selectBound(
  table: CopiedTable,
  { behind, upTo }: Pick<Rows, "behind" | "upTo">,
  count: number,
): string {
  const names = table.key.map(quoteIdentifier).join(", ");
  const conditions = [...behindOf(table, behind), ...upToAndWith(table, upTo)];
  return `SELECT ${names} FROM ${fromClause(table)}${where(conditions)} ORDER BY ${inOrder(table)} OFFSET ${count - 1} LIMIT 1`;
}

/** The largest key, whether or not its row passes the filter: the index has it at its end. */
export function selectNewest(table: CopiedTable): string {
  const names = table.key.map(quoteIdentifier).join(", ");
  return `SELECT ${names} FROM ${fromClause(table)} ORDER BY ${inOrder(table, true)} LIMIT 1`;
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}
