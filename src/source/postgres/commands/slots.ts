// All logical slots of a server, for the DBA who fears that one of them fills the disk: ours, the neighbours', the forgotten.

import { ConfigError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { versionFinding } from "../check/check-server.ts";
import { refuse } from "../check/refuse.ts";
import { WRITTEN_END } from "../client/lsn.ts";
import { clientConfig, identify, Session } from "../client/session.ts";
import type { Slot } from "../facts/slots.ts";
import type { PostgresConfig } from "../options/config.ts";
import { fullInSeconds, type TransactionFacts } from "../slot/transactions.ts";

/** Bytes of log, unless said otherwise; null where the server does not say. */
export interface SlotReport
  extends Pick<Slot, "name" | "active" | "pid" | "retainedBytes" | "unconfirmedBytes" | "failover"> {
  /** Which configured source reads it. */
  readonly source: string | null;
  /** Named like ours, and no configured source reads it. */
  readonly orphan: boolean;
  readonly plugin: string;
  readonly database: string;
  /** From 17 on. */
  readonly inactiveSeconds: number | null;
  /** reserved, extended, unreserved, lost */
  readonly walStatus: string | null;
  /** Why the server gave it up. */
  readonly invalidation: string | null;
  /** Written, and not yet sent to its reader. */
  readonly unsentBytes: number | null;
  /** Acknowledged, and still held: by a transaction that is open for long. */
  readonly restartGapBytes: number | null;
  /** How old, in transactions, the rows are that VACUUM must leave in the catalog for it. */
  readonly catalogXminAge: number | null;
  /** Written to the server's disk while decoding large transactions. */
  readonly spilledBytes: number | null;
  /** Since its reader last said where it is. */
  readonly replySeconds: number | null;
  /** How much may be written before it is lost; null without max_slot_wal_keep_size. */
  readonly safeBytes: number | null;
  /** When that is used up at the present rate; null where it is not. */
  readonly fullInSeconds: number | null;
  readonly synced: boolean | null;
}

export interface ServerReport {
  readonly systemId: string;
  /** How fast the whole server writes log, between the last two samples; null in the first one. */
  readonly walBytesPerSecond: number | null;
  /**
   * The longest open one that writes: no slot's log is dropped past it. A prepared one has a name (`gid`) and no process.
   * Its age is null where the role may not know.
   */
  readonly oldestTransaction: (Pick<TransactionFacts, "pid" | "gid"> & { readonly ageSeconds: number | null }) | null;
  readonly slots: readonly SlotReport[];
}

/** A server as it says of itself: whose its slots are is not known to it. */
export interface ServerFacts extends Omit<ServerReport, "slots"> {
  readonly slots: readonly Omit<SlotReport, "source" | "orphan">[];
}

/** @param owners the configured sources of this server by the names of their slots */
export function withOwners(server: ServerFacts, owners: ReadonlyMap<string, SourceId>): ServerReport {
  const slots = server.slots.map((slot) => {
    const source = owners.get(slot.name) ?? null;
    return { ...slot, source, orphan: source === null && slot.name.startsWith("millrace_") };
  });
  return { ...server, slots };
}

/** Newer columns by way of JSON: one statement from 14 on. */
const slotFacts = `
  SELECT s.slot_name AS name, s.plugin, s.database, s.active, s.active_pid AS pid, s.wal_status AS "walStatus",
    coalesce(to_jsonb(s)->>'invalidation_reason', CASE s.wal_status WHEN 'lost' THEN 'wal_removed' END) AS invalidation,
    s.safe_wal_size::float8 AS "safeBytes",
    pg_wal_lsn_diff(c.lsn, s.restart_lsn)::float8 AS "retainedBytes",
    pg_wal_lsn_diff(c.lsn, r.sent_lsn)::float8 AS "unsentBytes",
    pg_wal_lsn_diff(c.lsn, s.confirmed_flush_lsn)::float8 AS "unconfirmedBytes",
    pg_wal_lsn_diff(s.confirmed_flush_lsn, s.restart_lsn)::float8 AS "restartGapBytes",
    age(s.catalog_xmin)::float8 AS "catalogXminAge",
    st.spill_bytes::float8 AS "spilledBytes",
    extract(epoch FROM clock_timestamp() - r.reply_time)::float8 AS "replySeconds",
    CASE WHEN s.active THEN NULL
      ELSE extract(epoch FROM clock_timestamp() - (to_jsonb(s)->>'inactive_since')::timestamptz)::float8 END AS "inactiveSeconds",
    (to_jsonb(s)->>'failover')::bool AS failover, (to_jsonb(s)->>'synced')::bool AS synced
  FROM pg_replication_slots s
  CROSS JOIN LATERAL (SELECT ${WRITTEN_END} AS lsn) c
  LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
  LEFT JOIN pg_stat_replication_slots st ON st.slot_name = s.slot_name
  WHERE s.slot_type = 'logical' ORDER BY s.slot_name`;

const serverFacts = `
  SELECT pg_wal_lsn_diff(${WRITTEN_END}, '0/0')::float8 AS lsn,
    extract(epoch FROM clock_timestamp())::float8 AS seconds,
    (SELECT json_build_object('pid', pid, 'gid', gid, 'ageSeconds', extract(epoch FROM clock_timestamp() - since)) FROM (
      SELECT pid, NULL AS gid, backend_xid AS xid, xact_start AS since FROM pg_stat_activity WHERE backend_xid IS NOT NULL
      UNION ALL SELECT NULL, gid, transaction, prepared FROM pg_prepared_xacts
    ) t ORDER BY age(xid) DESC LIMIT 1) AS "oldestTransaction"`;

interface Sample {
  readonly lsn: number;
  readonly seconds: number;
}

/** Looks at a server's slots again and again, over one connection; the time between two looks gives the rate. */
export class SlotReporter implements AsyncDisposable {
  readonly #session: Session;
  #previous: Sample | undefined;

  constructor(id: SourceId, { url }: Pick<PostgresConfig, "url">) {
    this.#session = new Session(clientConfig(id, url));
  }

  /** @throws ConfigError SERVER_TOO_OLD and others, TransientError */
  async look(): Promise<ServerFacts> {
    const identity = await identify(this.#session);
    refuse([versionFinding(identity)]); // before what older ones do not know
    const [server] = await this.#session.query<Sample & Pick<ServerReport, "oldestTransaction">>(serverFacts);
    const { oldestTransaction, ...sample } = server as Exclude<typeof server, undefined>;
    const slots = await this.#session.query<Omit<SlotReport, "source" | "orphan" | "fullInSeconds">>(slotFacts);
    const rate = this.#previous === undefined ? null : rateBetween(this.#previous, sample);
    this.#previous = sample;
    return {
      systemId: identity.systemId,
      walBytesPerSecond: rate,
      oldestTransaction,
      slots: slots.map((slot) => ({ ...slot, fullInSeconds: fullInSeconds(slot, rate) })),
    };
  }

  /** Drops a slot. @throws TransientError SLOT_ACTIVE while it is read; ConfigError SLOT_NOT_FOUND */
  async drop(name: string): Promise<void> {
    const dropped = await this.#session.query(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
      [name],
    );
    if (dropped.length === 0) throw slotNotFound(name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }
}

export function slotNotFound(name: string): ConfigError {
  return new ConfigError("SLOT_NOT_FOUND", `no configured source's server has a logical slot ${JSON.stringify(name)}`, {
    hint: "`millrace slots` lists what there is.",
  });
}

function rateBetween(before: Sample, now: Sample): number | null {
  const seconds = now.seconds - before.seconds;
  return seconds > 0 ? Math.max(0, now.lsn - before.lsn) / seconds : null;
}
