// Whether the worker's role may read what it is to ask for of tables with `toast: "reselect"`.

import type { Session } from "../client/session.ts";
import type { RulesOf } from "../options/table-rules.ts";
import { closedSchemas } from "./copy-rights.ts";
import type { FoundTable } from "./tables.ts";

export interface ReselectFacts extends FoundTable {
  readonly role: string;
  /** Whether its events have a key. */
  readonly hasKey: boolean;
  /** Schemas that the role must not name anything of: the table's, and those of the types of its key and of their operators. */
  readonly closed: readonly string[];
  /** The columns of its key, and those that may be stored apart, that the role may not read; none that is left out. */
  readonly unreadable: readonly string[];
  /** Row security hides rows from the role. */
  readonly rowSecurity: boolean;
}

const facts = `
  SELECT c.oid::int8::text AS oid, current_user::text AS role, k.columns IS NOT NULL AS "hasKey",
    ${closedSchemas("CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END")} AS closed,
    ARRAY(SELECT a.attname::text FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attlen = -1 AND a.attstorage <> 'p' AND a.attgenerated <> 'v' OR a.attnum = ANY (k.columns))
        AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY a.attnum) AS unreadable,
    row_security_active(c.oid) AS "rowSecurity"
  FROM pg_class c LEFT JOIN LATERAL (
    SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns FROM pg_index i
    WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
  ) k ON true
  WHERE c.oid = ANY ($1::text[]::oid[])`;

/** Reads the facts of the tables that ask for it. */
export async function readReselect(
  session: Session,
  rulesOf: RulesOf,
  tables: readonly FoundTable[],
): Promise<readonly ReselectFacts[]> {
  const asking = tables.filter(({ schema, name }) => rulesOf(schema, name)?.reselects === true);
  if (asking.length === 0) return [];
  const rows = await session.query<Omit<ReselectFacts, keyof FoundTable> & { oid: string }>(facts, [
    asking.map(({ oid }) => oid),
  ]);
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  return asking.flatMap((table) => {
    const row = byOid.get(table.oid);
    if (row === undefined) return []; // dropped meanwhile
    const rules = rulesOf(table.schema, table.name);
    return [{ ...row, ...table, unreadable: row.unreadable.filter((name) => rules?.column(name) !== "left out") }];
  });
}
