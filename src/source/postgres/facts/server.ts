// What a server is set to, how much of it is taken, and what a role may: all that a start goes by beside tables and slots.

import type { ServerIdentity, Session } from "../client/session.ts";
import type { Slot } from "./slots.ts";

export interface ServerFacts extends ServerIdentity {
  /** It is one. */
  readonly standby: boolean;
  /** In force: from 19 on a logical slot raises it by itself. */
  readonly walLevel: string;
  readonly mayReplicate: boolean;
  readonly maxSlots: number;
  readonly usedSlots: number;
  readonly maxSenders: number;
  readonly usedSenders: number;
  /** -1: no bound. */
  readonly keepMb: number;
  readonly maxWalMb: number;
  /** 0: never, and on servers that do not know it. */
  readonly idleSlotSeconds: number;
  /** Physical slots whose standbys must have the log before a failover slot sends it; from 17 on. */
  readonly awaited: readonly string[];
  readonly provider: Provider | null;
}

/** Older ones do not know the columns that are asked for. */
export const OLDEST = 140_000;

/** Each has a role of this name in all of its servers. */
const PROVIDERS = ["rdsadmin", "cloudsqlsuperuser", "supabase_admin", "neon_superuser"] as const;

/** Who runs the server, where that is known. */
export type Provider = (typeof PROVIDERS)[number];

const facts = `
  SELECT pg_is_in_recovery() AS standby,
    coalesce(current_setting('effective_wal_level', true), current_setting('wal_level')) AS "walLevel",
    EXISTS (SELECT FROM pg_roles r WHERE r.rolname = current_user AND (r.rolreplication OR r.rolsuper))
      OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication' AND pg_has_role(current_user, r.oid, 'MEMBER'))
      AS "mayReplicate",
    current_setting('max_replication_slots')::int AS "maxSlots",
    current_setting('max_wal_senders')::int AS "maxSenders",
    (SELECT count(*) FROM pg_stat_replication)::int AS "usedSenders",
    (SELECT setting::int FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS "keepMb",
    (SELECT setting::int FROM pg_settings WHERE name = 'max_wal_size') AS "maxWalMb",
    coalesce((SELECT extract(epoch FROM (setting || unit)::interval) FROM pg_settings
      WHERE name = 'idle_replication_slot_timeout'), 0)::int AS "idleSlotSeconds",
    ARRAY(SELECT replace(trim(name), '"', '') FROM unnest(string_to_array(
      current_setting('synchronized_standby_slots', true), ',')) name WHERE trim(name) <> '') AS awaited,
    (SELECT min(rolname::text) FROM pg_roles WHERE rolname = ANY ($1)) AS provider`;

/** @param slots all of the server */
export async function readServer(
  session: Session,
  identity: ServerIdentity,
  slots: readonly Slot[],
): Promise<ServerFacts> {
  type Row = Omit<ServerFacts, keyof ServerIdentity | "usedSlots">;
  const [row] = await session.query<{ [Key in keyof Row]: Row[Key] }>(facts, [PROVIDERS]);
  return { ...identity, ...(row as Row), usedSlots: slots.length };
}

/** How far the server's clock is ahead of ours, in ms, and how exactly that is known. */
export interface ClockFacts {
  readonly aheadMs: number;
  readonly roundTripMs: number;
}

export async function readClock(session: Session): Promise<ClockFacts> {
  const beforeMs = Date.now();
  const [row] = await session.query<{ ms: number }>(
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms",
  );
  const roundTripMs = Date.now() - beforeMs;
  return { aheadMs: Math.round((row as { ms: number }).ms - beforeMs - roundTripMs / 2), roundTripMs };
}
