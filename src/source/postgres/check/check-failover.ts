// What `check` says of a failover: whether the source can go on at a standby that is promoted, and whether one holds it up.

import { about, type Finding } from "../../../telemetry/finding.ts";
import type { Session } from "../client/session.ts";
import { quoteIdentifier } from "../client/sql.ts";
import { type Provider, providerColumn, settingFix } from "./setting-fix.ts";

export interface FailoverFacts {
  readonly version: number;
  /** The server itself is one. */
  readonly standby: boolean;
  /** Physical slots whose standbys must have the log before a failover slot sends it; from 17 on. */
  readonly awaited: readonly string[];
  readonly physical: readonly PhysicalSlot[];
  readonly provider: Provider | null;
  /** Whether the source's own slot is marked for failover; null before 17, and while there is none. */
  readonly marked: boolean | null;
}

export interface PhysicalSlot {
  readonly name: string;
  readonly active: boolean;
  readonly lost: boolean;
  /** Whether its standby says what its queries need: without that no slot is copied to it. */
  readonly feedback: boolean;
}

/** Slots are copied to standbys from here on. */
const COPIES_SLOTS = 170_000;
/** A standby can be read from here on. */
const STANDBY_READABLE = 160_000;

export async function readFailover(session: Session, slot: string): Promise<FailoverFacts> {
  const [row] = await session.query<Omit<FailoverFacts, "awaited"> & { awaited: string }>(
    `SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby,
       coalesce(current_setting('synchronized_standby_slots', true), '') AS awaited,
       coalesce((SELECT json_agg(json_build_object('name', slot_name, 'active', active, 'lost', wal_status = 'lost',
         'feedback', xmin IS NOT NULL OR catalog_xmin IS NOT NULL) ORDER BY slot_name)
         FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary), '[]') AS physical,
       (SELECT (to_jsonb(s)->>'failover')::bool FROM pg_replication_slots s WHERE slot_name = $1) AS marked,
       ${providerColumn}`,
    [slot],
  );
  const { awaited, ...facts } = row as Exclude<typeof row, undefined>;
  return { ...facts, awaited: awaited.split(",").flatMap((name) => name.trim().replaceAll('"', "") || []) };
}

/** @param slot the source's own */
export function failoverFindings(facts: FailoverFacts, slot: string): readonly Finding[] {
  if (facts.standby) return [standbyFinding(facts)];
  const standbys = facts.physical.filter(({ active, lost }) => active && !lost);
  const findings = [
    ...stalledFindings(facts),
    ...(standbys.length === 0 ? [] : readinessFindings(facts, standbys, slot)),
  ];
  if (findings.length > 0) return findings;
  const message =
    standbys.length === 0
      ? "no standby reads this server by a slot"
      : `the slot goes along to ${standbys.map(({ name }) => name).join(", ")}, if sync_replication_slots is on there`;
  return [about("failover").ok("FAILOVER", message)];
}

function standbyFinding({ version }: FailoverFacts): Finding {
  return {
    level: version < STANDBY_READABLE ? "fail" : "warn",
    code: "SERVER_STANDBY",
    subject: "server",
    message:
      version < STANDBY_READABLE
        ? "it is a standby, which cannot be read before Postgres 16"
        : "it is a standby: it makes no publication, and its slot is made only when the primary next logs what runs",
    fix: "Use the primary's address in the source's url, or all addresses and target_session_attrs=primary.",
  };
}

/** Every slot that is marked for failover waits for the named standbys: nothing is sent before they have it. */
function stalledFindings({ awaited, physical, provider }: FailoverFacts): readonly Finding[] {
  const here = awaited.flatMap((name) => physical.find((slot) => slot.name === name && !slot.lost) ?? []);
  const gone = awaited.filter((name) => !here.some((slot) => slot.name === name));
  const away = here.filter(({ active }) => !active).map(({ name }) => name);
  if (gone.length + away.length === 0) return [];
  const served = here.filter(({ active }) => active).map(({ name }) => name);
  return [
    {
      level: gone.length > 0 ? "fail" : "warn",
      code: "FAILOVER_STALLED",
      subject: "setting synchronized_standby_slots",
      message: `nothing is sent before standbys have it, and ${[
        ...(gone.length > 0 ? [`${gone.join(", ")} ${gone.length > 1 ? "are" : "is"} no physical slot`] : []),
        ...(away.length > 0 ? [`nobody reads ${away.join(", ")}`] : []),
      ].join(", ")}: the source stands still`,
      fix: settingFix(provider, {
        name: "synchronized_standby_slots",
        value: served.join(", "),
        note: "or bring the standby back",
      }),
    },
  ];
}

function readinessFindings(
  { version, awaited, marked, provider }: FailoverFacts,
  standbys: readonly PhysicalSlot[],
  slot: string,
): readonly Finding[] {
  const { warn } = about(`slot ${slot}`);
  if (version < COPIES_SLOTS) {
    return [
      warn(
        "FAILOVER_LOSES_SLOT",
        "a standby that is promoted does not have it: the source would stop with SLOT_MISSING",
        "Before Postgres 17 the extension pg_failover_slots, or Patroni's option slots, keeps it on the standbys.",
      ),
    ];
  }
  const findings: Finding[] = [];
  if (marked === false) {
    findings.push(
      warn(
        "FAILOVER_LOSES_SLOT",
        "it is not marked for failover: a standby that is promoted does not have it",
        `ALTER_REPLICATION_SLOT ${quoteIdentifier(slot)} (FAILOVER true); -- while nobody reads it, by psql "dbname=... replication=database"`,
      ),
    );
  }
  const ahead = standbys.filter(({ name }) => !awaited.includes(name)).map(({ name }) => name);
  if (ahead.length > 0) {
    findings.push(
      about("setting synchronized_standby_slots").warn(
        "FAILOVER_NOT_AWAITED",
        `events may be published before ${ahead.join(", ")} has them: promoted then, it never had what the stream tells`,
        settingFix(provider, {
          name: "synchronized_standby_slots",
          value: [...awaited, ...ahead].join(", "),
          note: "only standbys that may be promoted",
        }),
      ),
    );
  }
  const silent = standbys.filter(({ feedback }) => !feedback).map(({ name }) => name);
  if (silent.length > 0) {
    findings.push(
      about(`standby of ${silent.join(", ")}`).warn(
        "FAILOVER_NO_FEEDBACK",
        "its hot_standby_feedback is off: the slot cannot be copied to it",
        "On that standby: ALTER SYSTEM SET hot_standby_feedback = 'on';\nOn that standby: ALTER SYSTEM SET sync_replication_slots = 'on'; -- with a dbname in its primary_conninfo\nOn that standby: SELECT pg_catalog.pg_reload_conf();",
      ),
    );
  }
  return findings;
}
