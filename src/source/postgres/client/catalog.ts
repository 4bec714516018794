// What the catalog knows of a table and the log does not say: key, numbers of columns, defaults, and how types are made.

import { attributesState, type CompositeState } from "./composite-states.ts";
import type { Session } from "./session.ts";

/** A table as the catalog has it now; the log may be of an earlier time. Of a dropped table all lists are empty. */
export interface TableDescription {
  /** Names, in the order of the key; empty for a table without one. */
  readonly primaryKey: readonly string[];
  /** Whether the primary key may be checked later than at once: two rows may have one key for a moment. */
  readonly deferrable: boolean;
  /** By their number. Compare with the log by name and type: a column may have been renamed or dropped since. */
  readonly columns: readonly CatalogColumn[];
  /** By oid: every type that the columns reach, of the log and of now. One that was dropped is missing. */
  readonly types: ReadonlyMap<number, CatalogType>;
  /** The states of the types that are made of attributes, by the type's oid. */
  readonly composites: ReadonlyMap<number, CompositeState>;
  /** How SQL writes the types that the log has, with what modifies them: in the log's order. */
  readonly formats: readonly string[];
  /** Whether the log carries less before a row of some partition than of the others: not all have replica identity FULL. */
  readonly partlyFull: boolean;
}

export interface CatalogColumn {
  /** Never used again, so it tells a renamed column from a dropped and a new one. */
  readonly attnum: number;
  readonly name: string;
  readonly type: number;
  /** -1 for none. */
  readonly typmod: number;
  /** The type as SQL writes it: `numeric(10,2)`. */
  readonly sqlType: string;
  readonly notNull: boolean;
  /** Generated and identity columns have none. */
  readonly hasDefault: boolean;
  /** Undefined for a column that is not generated. */
  readonly generated: "stored" | "virtual" | undefined;
  /** Undefined for a column that is not an identity column. */
  readonly identity: "always" | "by default" | undefined;
}

export interface CatalogType {
  readonly oid: number;
  readonly namespace: string;
  readonly name: string;
  readonly shape: TypeShape;
}

/** How a type is made of others, all by oid; everything else is a scalar. */
export type TypeShape =
  | { readonly kind: "scalar"; readonly output: string }
  | { readonly kind: "array"; readonly element: number; readonly delimiter: string }
  | { readonly kind: "domain"; readonly base: number }
  | { readonly kind: "composite"; readonly attributes: readonly { readonly name: string; readonly type: number }[] }
  | { readonly kind: "range"; readonly subtype: number }
  | { readonly kind: "multirange"; readonly range: number }
  | { readonly kind: "enum"; readonly labels: readonly string[] };

/** For tests and for what the catalog no longer has. */
export const unknownTable: TableDescription = {
  primaryKey: [],
  deferrable: false,
  columns: [],
  types: new Map(),
  composites: new Map(),
  formats: [],
  partlyFull: false,
};

/** A type that is reached. OFFSET keeps it to a look by the index for each: every table of a database is two more types. */
const shape = `
    SELECT t.oid, t.typnamespace, t.typname, t.typrelid, t.typbasetype, t.typelem, r.rngsubtype, m.rngtypid, p.proname,
      CASE
        WHEN t.typtype = 'd' THEN 'domain'
        WHEN t.typtype = 'e' THEN 'enum'
        WHEN t.typoutput = 'array_out'::regproc THEN 'array'
        WHEN t.typoutput = 'record_out'::regproc AND t.typrelid <> 0 THEN 'composite'
        WHEN r.rngtypid IS NOT NULL THEN 'range'
        WHEN m.rngtypid IS NOT NULL THEN 'multirange'
        ELSE 'scalar'
      END AS kind
    FROM pg_type t
    LEFT JOIN pg_proc p ON p.oid = t.typoutput
    LEFT JOIN pg_range r ON r.rngtypid = t.oid
    LEFT JOIN pg_range m ON m.rngmultitypid = t.oid
    WHERE t.oid = reached.oid OFFSET 0`;

/**
 * One statement, so one state of the catalog. A type is told by the function that prints it: `point` has elements and
 * yet is no array. An expression is never printed: that could wait for a table's lock. Names of types are printed under
 * settings of our own, for as long as the statement runs: a role's search_path would change them.
 */
const description = `
  WITH RECURSIVE settings AS MATERIALIZED (
    SELECT set_config('search_path', 'public', true), set_config('quote_all_identifiers', 'off', true)
  ), columns AS (
    SELECT a.* FROM settings, pg_attribute a WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped
  ), partitions (oid) AS (
    SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::oid
    UNION SELECT i.inhrelid FROM partitions p JOIN pg_inherits i ON i.inhparent = p.oid
  ), reached (oid) AS (
    SELECT unnest($2::oid[])
    UNION SELECT atttypid FROM columns
    UNION SELECT part.oid FROM reached CROSS JOIN LATERAL (${shape}) s CROSS JOIN LATERAL (
      SELECT s.typbasetype WHERE s.kind = 'domain'
      UNION ALL SELECT s.typelem WHERE s.kind = 'array'
      UNION ALL SELECT s.rngsubtype WHERE s.kind = 'range'
      UNION ALL SELECT s.rngtypid WHERE s.kind = 'multirange'
      UNION ALL SELECT a.atttypid FROM pg_attribute a
        WHERE s.kind = 'composite' AND a.attrelid = s.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) part (oid)
  )
  SELECT
    (SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]') FROM pg_index i
      CROSS JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY k (attnum, place)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
      WHERE i.indrelid = $1::oid AND i.indisprimary) AS "primaryKey",
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1::oid AND i.indisprimary AND NOT i.indimmediate) AS deferrable,
    (SELECT coalesce(json_agg(json_build_object(
        'attnum', c.attnum, 'name', c.attname, 'type', c.atttypid::int8, 'typmod', c.atttypmod,
        'sqlType', format_type(c.atttypid, c.atttypmod), 'notNull', c.attnotnull,
        'hasDefault', c.atthasdef AND c.attgenerated = '',
        'generated', CASE c.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END,
        'identity', CASE c.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END
      ) ORDER BY c.attnum), '[]') FROM columns c) AS columns,
    (SELECT coalesce(json_agg(json_build_object(
        'oid', s.oid::int8, 'namespace', n.nspname, 'name', s.typname, 'shape', json_build_object('kind', s.kind) ::jsonb ||
        CASE s.kind
          WHEN 'array' THEN jsonb_build_object('element', s.typelem::int8,
            'delimiter', (SELECT e.typdelim FROM pg_type e WHERE e.oid = s.typelem))
          WHEN 'domain' THEN jsonb_build_object('base', s.typbasetype::int8)
          WHEN 'composite' THEN jsonb_build_object('attributes', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'type', a.atttypid::int8) ORDER BY a.attnum), '[]')
            FROM pg_attribute a WHERE a.attrelid = s.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
          WHEN 'range' THEN jsonb_build_object('subtype', s.rngsubtype::int8)
          WHEN 'multirange' THEN jsonb_build_object('range', s.rngtypid::int8)
          WHEN 'enum' THEN jsonb_build_object('labels', (
            SELECT coalesce(jsonb_agg(e.enumlabel ORDER BY e.enumsortorder), '[]') FROM pg_enum e WHERE e.enumtypid = s.oid))
          ELSE jsonb_build_object('output', s.proname)
        END) ORDER BY s.oid), '[]')
      FROM reached CROSS JOIN LATERAL (${shape}) s JOIN pg_namespace n ON n.oid = s.typnamespace) AS types,
    (SELECT coalesce(json_agg(json_build_object('oid', s.oid::int8, 'relation', s.typrelid::int8,
        'state', ${attributesState("s.typrelid")}) ORDER BY s.oid), '[]')
      FROM reached CROSS JOIN LATERAL (${shape}) s WHERE s.kind = 'composite') AS composites,
    (SELECT coalesce(json_agg(format_type(f.type, f.typmod) ORDER BY f.place), '[]')
      FROM settings, unnest($2::oid[], $3::int4[]) WITH ORDINALITY f (type, typmod, place)) AS formats,
    EXISTS (SELECT FROM partitions JOIN pg_class c USING (oid)
      WHERE c.relispartition AND c.relkind = 'r' AND c.relreplident <> 'f') AS "partlyFull"`;

type Row = Omit<TableDescription, "columns" | "types" | "composites"> & {
  readonly columns: readonly (Omit<CatalogColumn, "generated" | "identity"> & {
    readonly generated: "stored" | "virtual" | null;
    readonly identity: "always" | "by default" | null;
  })[];
  readonly types: readonly CatalogType[];
  readonly composites: readonly (CompositeState & { readonly oid: number })[];
};

/**
 * Asks for everything at once. Takes no lock of the table itself, so DDL in progress does not hold it up.
 * @param columns with their types as the log has them
 * @throws TransientError when somebody locks the catalog itself, or the connection is lost
 */
export async function describeTable(
  session: Session,
  oid: number,
  columns: readonly { readonly type: number; readonly typmod: number }[],
): Promise<TableDescription> {
  const types = columns.map(({ type }) => type);
  const typmods = columns.map(({ typmod }) => typmod);
  const [row] = await session.query<Row>(description, [oid, types, typmods]);
  if (row === undefined) return unknownTable;
  return {
    primaryKey: row.primaryKey,
    deferrable: row.deferrable,
    formats: row.formats,
    partlyFull: row.partlyFull,
    columns: row.columns.map((column) => ({
      ...column,
      generated: column.generated ?? undefined,
      identity: column.identity ?? undefined,
    })),
    types: new Map(row.types.map((type) => [type.oid, type])),
    composites: new Map(row.composites.map(({ oid: type, relation, state }) => [type, { relation, state }])),
  };
}

/** What the log says of a domain: the name of its base type, where that is a built-in one. */
export function domainBase({ types }: Pick<TableDescription, "types">, oid: number): string | undefined {
  let type = types.get(oid);
  if (type?.shape.kind !== "domain") return undefined;
  while (type?.shape.kind === "domain") type = types.get(type.shape.base);
  return type?.namespace === "pg_catalog" ? type.name : undefined;
}
