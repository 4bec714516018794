// The transactions that hold slots back, and how soon a slot is full.

import type { Session } from "../client/session.ts";

export interface TransactionFacts {
  /** Null for a prepared one, which has no process. */
  readonly pid: number | null;
  /** Its name, of a prepared one. */
  readonly gid: string | null;
  readonly database: string | null;
  /** Whether that is the source's. */
  readonly here: boolean;
  /** Null where the role may not know. */
  readonly ageSeconds: number | null;
}

/** Reads the writing transactions of the whole cluster: one of a neighbouring database holds the log as well. */
export async function readTransactions(session: Session): Promise<readonly TransactionFacts[]> {
  return session.query<{ [Key in keyof TransactionFacts]: TransactionFacts[Key] }>(`
    SELECT pid, NULL AS gid, datname AS database, coalesce(datname = current_database(), false) AS here,
      extract(epoch FROM clock_timestamp() - xact_start)::float8 AS "ageSeconds"
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL
    UNION ALL
    SELECT NULL, gid, database, database = current_database(), extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts
    ORDER BY 5 DESC NULLS LAST, 1, 2`);
}

export function nameOfTransaction({ pid, gid }: Pick<TransactionFacts, "pid" | "gid">): string {
  return gid === null ? `process ${pid}` : `prepared transaction ${gid}`;
}

/**
 * A slot that keeps up moves its limit along: only one that lags, or is not read, comes nearer to it.
 * @param rate at which it comes nearer, in bytes a second
 */
export function fullInSeconds(
  { safeBytes, invalidation }: { readonly safeBytes: number | null; readonly invalidation: string | null },
  rate: number | null,
): number | null {
  if (safeBytes === null || invalidation !== null || rate === null || rate <= 0) return null;
  return Math.max(0, safeBytes) / rate;
}
