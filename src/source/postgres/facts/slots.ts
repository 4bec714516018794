// Replication slots, as the server has them.

import { WRITTEN_END } from "../client/lsn.ts";
import type { Session } from "../client/session.ts";

export interface Slot {
  readonly name: string;
  /** Null for a physical one. */
  readonly plugin: string | null;
  readonly database: string | null;
  readonly twoPhase: boolean;
  readonly temporary: boolean;
  readonly active: boolean;
  /** The process of the walsender that reads it. */
  readonly pid: number | null;
  /** Without a reader; from 17 on. */
  readonly idleSeconds: number | null;
  /** Why the server no longer keeps the log for it. Not every reason takes the log's start away. */
  readonly lost: string | null;
  /** Where it begins, as an LSN; null while it is being made. */
  readonly confirmed: string | null;
  /** Log that it holds back, from its beginning to the log's end; null when it holds none. */
  readonly retainedBytes: number | null;
  /** Log that its reader has not acknowledged. Below zero: it acknowledged what was never written. */
  readonly unconfirmedBytes: number | null;
  /** Whether it goes along to a standby; null before 17. */
  readonly failover: boolean | null;
  /** Whether something holds rows back by it: of a standby that says what its queries need. */
  readonly feedback: boolean;
}

/** @param name only the one of that name; by default all of the server */
export function readSlots(session: Session, name?: string): Promise<readonly Slot[]> {
  return session.query<{ [Key in keyof Slot]: Slot[Key] }>(
    `SELECT slot_name AS name, plugin, database, coalesce(two_phase, false) AS "twoPhase", temporary, active, active_pid AS pid,
       extract(epoch FROM clock_timestamp() - (to_jsonb(s)->>'inactive_since')::timestamptz)::float8 AS "idleSeconds",
       coalesce(to_jsonb(s)->>'invalidation_reason', CASE wal_status WHEN 'lost' THEN 'the server removed its log' END) AS lost,
       confirmed_flush_lsn::text AS confirmed,
       pg_wal_lsn_diff(c.lsn, restart_lsn)::float8 AS "retainedBytes",
       pg_wal_lsn_diff(c.lsn, confirmed_flush_lsn)::float8 AS "unconfirmedBytes",
       (to_jsonb(s)->>'failover')::bool AS failover, xmin IS NOT NULL OR catalog_xmin IS NOT NULL AS feedback
     FROM pg_replication_slots s, (SELECT ${WRITTEN_END} AS lsn) c
     WHERE $1::text IS NULL OR slot_name = $1 ORDER BY slot_name`,
    [name ?? null],
  );
}
