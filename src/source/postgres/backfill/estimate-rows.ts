// About how many rows a table has, for whoever watches a copy: by what the server has counted anyway.

import type { Session } from "../client/session.ts";

/**
 * Of its leaves, where it has partitions. Nothing is locked: whoever changes the table would be waited for. What statistics have
 * counted is newer; a server that was restored, or took over, has none yet. A table that was never analyzed has -1.
 */
const estimate = `
  WITH RECURSIVE part AS (
    SELECT c.oid, c.relkind, c.reltuples FROM pg_class c WHERE c.oid = $1::int8::oid
    UNION ALL
    SELECT c.oid, c.relkind, c.reltuples
    FROM part p JOIN pg_inherits i ON i.inhparent = p.oid AND p.relkind = 'p' JOIN pg_class c ON c.oid = i.inhrelid)
  SELECT sum(CASE WHEN pg_stat_get_live_tuples(oid) > 0 THEN pg_stat_get_live_tuples(oid) ELSE greatest(reltuples, 0) END)::float8 AS rows
  FROM part WHERE relkind = 'r'`;

/** Undefined where there is no such table any more. @throws TransientError */
export async function estimateRows(session: Session, oid: string): Promise<number | undefined> {
  const [found] = await session.query<{ rows: number | null }>(estimate, [oid]);
  return found?.rows == null ? undefined : Math.round(found.rows);
}
