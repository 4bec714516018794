// The text of the query that asks for columns by key, made from what the catalog says of the table now.

import type { Session } from "../client/session.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import type { Table } from "../decode/table.ts";

/** A table as it is now, with the columns that the log called otherwise, perhaps. */
export interface LookupTarget {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** Quoted, with its schema. */
  readonly name: string;
  readonly partitioned: boolean;
  /** The worker's, quoted. */
  readonly role: string;
  readonly key: readonly { readonly name: string; readonly sqlType: string; readonly operator: string }[];
  /** Their names now. */
  readonly columns: readonly string[];
  /** The numbers of key and columns, ascending; and what they must be for the answer to count. */
  readonly attnums: readonly number[];
  readonly signature: readonly string[];
}

interface CatalogRow {
  readonly schema: string;
  readonly table: string;
  readonly partitioned: boolean;
  readonly role: string;
  readonly columns: readonly {
    readonly attnum: number;
    readonly name: string;
    readonly type: number;
    readonly sqlType: string;
  }[];
  readonly equals: readonly { readonly attnum: number; readonly schema: string; readonly name: string }[];
}

/** The key's index says by which operator its values are equal, whatever the search path holds. */
const catalog = `
  SELECT n.nspname AS schema, c.relname AS table, c.relkind = 'p' AS partitioned, current_user::text AS role,
    (SELECT coalesce(json_agg(json_build_object('attnum', a.attnum, 'name', a.attname, 'type', a.atttypid::int8,
        'sqlType', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum), '[]')
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY ($2::int2[]) AND NOT a.attisdropped) AS columns,
    (SELECT coalesce(json_agg(json_build_object('attnum', k.attnum, 'schema', s.nspname, 'name', o.oprname)), '[]')
      FROM pg_index i
      CROSS JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1], (i.indclass::oid[])[0:i.indnkeyatts - 1])
        k (attnum, class)
      JOIN pg_opclass p ON p.oid = k.class
      JOIN pg_amop m ON m.amopfamily = p.opcfamily AND m.amoplefttype = p.opcintype AND m.amoprighttype = p.opcintype
        AND m.amopstrategy = 3
      JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace s ON s.oid = o.oprnamespace
      WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END) AS equals
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid`;

/** Undefined when the table, a part of its key or one of the columns is not there any more, or of another type. */
export async function readTarget(
  session: Session,
  { relation, key, reselected }: Table,
  columns: readonly number[],
): Promise<LookupTarget | undefined> {
  const numbers = [...key, ...columns].map((index) => reselected?.[index] ?? 0);
  const [row] = await session.query<CatalogRow & Record<string, unknown>>(catalog, [relation.oid, numbers]);
  if (row === undefined) return undefined;
  const found = [...key, ...columns].map((index) => {
    const attnum = reselected?.[index];
    return row.columns.find((column) => column.attnum === attnum && column.type === relation.columns[index]?.type);
  });
  const keys = found.slice(0, key.length).map((column) => {
    const equals = row.equals.find(({ attnum }) => attnum === column?.attnum);
    if (column === undefined || equals === undefined) return undefined;
    const operator = `OPERATOR(${quoteIdentifier(equals.schema)}.${equals.name})`;
    return { name: quoteIdentifier(column.name), sqlType: column.sqlType, operator };
  });
  const current = whole(found.slice(key.length));
  const keyed = whole(keys);
  if (current === undefined || keyed === undefined) return undefined;
  const { schema, table, partitioned } = row;
  return {
    oid: relation.oid,
    schema,
    table,
    name: quoteTable({ schema, name: table }),
    partitioned,
    role: quoteIdentifier(row.role),
    key: keyed,
    columns: current.map(({ name }) => quoteIdentifier(name)),
    attnums: row.columns.map(({ attnum }) => attnum),
    signature: row.columns.map(({ attnum, type, name }) => `${attnum} ${type} ${name}`),
  };
}

/** Undefined when one is missing. */
function whole<Item>(items: readonly (Item | undefined)[]): readonly Item[] | undefined {
  const present = items.filter((item) => item !== undefined);
  return present.length === items.length ? present : undefined;
}

/**
 * Values: $1 the room, $2 the most bytes of one row, $3 to $5 what tells that the table is as it was, then a list for
 * each part of the key. One statement, so one snapshot; a row of nulls when nothing is found. Each value is printed as
 * the log prints it, and only once: OFFSET keeps the planner from doing it again for its size.
 */
export function lookupText({ oid, name, partitioned, key, columns }: LookupTarget): string {
  const join = (parts: readonly string[], between: string): string => parts.join(between);
  const each = (text: (column: string, nth: number) => string, between: string): string =>
    join(columns.map(text), between);
  const stored = each((column) => `coalesce(pg_column_size(t.${column}), 0)::int8`, " + ");
  const lists = join(
    key.map((_, nth) => `$${nth + 6}::text[]`),
    ", ",
  );
  const parts = join(
    key.map((_, nth) => `k${nth}`),
    ", ",
  );
  const matches = join(
    key.map((part, nth) => `t.${part.name} ${part.operator} k.k${nth}::${part.sqlType}`),
    " AND ",
  );
  return `
    SELECT m.*, f.* FROM (
      SELECT pg_current_snapshot()::text AS snapshot, pg_current_wal_insert_lsn()::text AS "asOfLsn",
        to_regclass($3)::oid = ${oid} AND ARRAY(
          SELECT a.attnum || ' ' || a.atttypid || ' ' || a.attname FROM pg_attribute a
          WHERE a.attrelid = ${oid} AND a.attnum = ANY ($4::int2[]) AND NOT a.attisdropped ORDER BY a.attnum
        ) = $5::text[] AS same
    ) m LEFT JOIN (
      SELECT r.n::int4 AS n, r.wide, r.fits, ${each((_, nth) => `CASE WHEN r.fits AND NOT r.wide THEN r.v${nth} END AS v${nth}`, ", ")}
      FROM (
        SELECT s.*, coalesce(sum(CASE WHEN s.wide THEN 0 ELSE s.size END)
          OVER (ORDER BY s.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) < $1::int8 AS fits
        FROM (
          SELECT v.*, greatest(v.stored, v.size) > $2::int8 AS wide FROM (
            SELECT p.*, ${each((_, nth) => `coalesce(octet_length(p.v${nth}), 0)::int8`, " + ")} AS size FROM (
              SELECT k.n, ${stored} AS stored,
                ${each(
                  (column, nth) =>
                    `CASE WHEN num_nulls(t.${column}) = 0 AND ${stored} <= $2::int8 THEN format('%s', t.${column}) END AS v${nth}`,
                  ",\n                ",
                )}
              FROM unnest(${lists}) WITH ORDINALITY k (${parts}, n)
              JOIN ${partitioned ? "" : "ONLY "}${name} t ON ${matches}
              OFFSET 0
            ) p
          ) v
        ) s
      ) r
    ) f ON true ORDER BY f.n`;
}
