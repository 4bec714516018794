// Columns that no driver has a value for: of composite types, wherever in the type they stand.

import type { SourceId } from "../../../event/source-id.ts";
import type { StructuredColumn } from "../../capabilities.ts";
import { clientConfig, Session } from "../client/session.ts";
import type { PostgresConfig } from "../options/config.ts";
import type { TableRules } from "../options/table-rules.ts";

/**
 * A domain, an array and a range are what they are made of. A range of the application's own that is not called so cannot
 * be told from a composite type by who knows the declared name alone.
 */
const STRUCTURED = `
  WITH RECURSIVE part (attnum, oid) AS (
    SELECT a.attnum, a.atttypid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT p.attnum, inner_type.oid FROM part p JOIN pg_type t ON t.oid = p.oid
      LEFT JOIN pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_range m ON m.rngmultitypid = t.oid
      CROSS JOIN LATERAL (SELECT CASE
        WHEN t.typtype = 'd' THEN t.typbasetype
        WHEN t.typoutput = 'array_out'::regproc THEN t.typelem
        ELSE coalesce(r.rngsubtype, m.rngtypid, 0)
      END) inner_type (oid) WHERE inner_type.oid <> 0
  )
  SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum IN (
    SELECT p.attnum FROM part p JOIN pg_type t ON t.oid = p.oid
    WHERE t.typoutput = 'record_out'::regproc OR t.typtype IN ('r', 'm') AND t.typname NOT LIKE '%range'
  ) ORDER BY a.attnum`;

/** Reads them of one collection as the source delivers it: a column that is left out, masked or written as text is none. */
export async function structuredColumns(
  id: SourceId,
  config: PostgresConfig,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<readonly StructuredColumn[]> {
  const rules = config.rulesOf(namespace, name);
  if (rules === undefined) return [];
  await using session = new Session(clientConfig(id, config.url));
  const columns = await session.query<{ name: string; type: string }>(STRUCTURED, [namespace, name]);
  return columns.filter((column) => asItIs(rules, column.name));
}

function asItIs(rules: TableRules, column: string): boolean {
  return rules.column(column) === undefined && rules.format(column) !== "text";
}
