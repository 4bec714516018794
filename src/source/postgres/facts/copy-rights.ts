// Whether the worker's role may read the tables whose rows are to be copied, whole.

import type { Session } from "../client/session.ts";
import type { FoundTable } from "./tables.ts";

export interface CopyRights extends FoundTable {
  readonly role: string;
  /** Whether it may lock the table and read its columns. */
  readonly readable: boolean;
  /** Schemas that it must not name anything of: the table's, and those of the types of its key and of their operators. */
  readonly closed: readonly string[];
  /** Row security hides rows from the role. */
  readonly rowSecurity: boolean;
}

/**
 * Schemas that the role has no USAGE of, and that must be named where rows are asked for by key.
 * @param keyIndex a condition on `pg_index i`: which of the indexes of `pg_class c` is the key's
 */
export function closedSchemas(keyIndex: string): string {
  return `ARRAY(SELECT n.nspname::text FROM pg_namespace n WHERE NOT has_schema_privilege(n.oid, 'USAGE') AND n.oid IN (
    SELECT c.relnamespace
    UNION ALL SELECT t.typnamespace FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
        AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) JOIN pg_type t ON t.oid = a.atttypid
      WHERE i.indrelid = c.oid AND ${keyIndex}
    UNION ALL SELECT p.oprnamespace FROM pg_index i JOIN pg_opclass f ON f.oid = ANY ((i.indclass::oid[])[0:i.indnkeyatts - 1])
        JOIN pg_amop m ON m.amopfamily = f.opcfamily AND m.amoplefttype = f.opcintype AND m.amoprighttype = f.opcintype
        JOIN pg_operator p ON p.oid = m.amopopr
      WHERE i.indrelid = c.oid AND ${keyIndex}) ORDER BY n.nspname)`;
}

/** From here on these let a role lock a table as a copy does; before, SELECT alone. */
const LOCKS_VERSION = 160_000;
/** From here on MAINTAIN is a privilege. */
const MAINTAIN_VERSION = 170_000;

/** Grants on single columns are enough to read them, and not to lock the table. */
function readable(version: number): string {
  if (version < LOCKS_VERSION) return "has_table_privilege(c.oid, 'SELECT')";
  const locks = `UPDATE, DELETE, TRUNCATE${version < MAINTAIN_VERSION ? "" : ", MAINTAIN"}`;
  return `has_table_privilege(c.oid, 'SELECT') OR has_table_privilege(c.oid, '${locks}') AND NOT EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT'))`;
}

const facts = (version: number): string => `
  SELECT c.oid::int8::text AS oid, current_user::text AS role, ${readable(version)} AS readable,
    ${closedSchemas("CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END")} AS closed,
    row_security_active(c.oid) AS "rowSecurity"
  FROM pg_class c WHERE c.oid = ANY ($1::text[]::oid[])`;

/** One question for all of them. @param version of the server, as `server_version_num` */
export async function readCopyRights(
  session: Session,
  tables: readonly FoundTable[],
  version: number,
): Promise<readonly CopyRights[]> {
  if (tables.length === 0) return [];
  type Row = Omit<CopyRights, keyof FoundTable> & { oid: string };
  const rows = await session.query<Row>(facts(version), [tables.map(({ oid }) => oid)]);
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  return tables.flatMap((table) => {
    const row = byOid.get(table.oid);
    return row === undefined ? [] : [{ ...row, ...table }]; // else dropped meanwhile
  });
}
