// What `check` says of a failover: whether the source can go on at a standby that is promoted, and whether one holds it up.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier } from "../client/sql.ts";
import type { ServerFacts } from "../facts/server.ts";
import type { Slot } from "../facts/slots.ts";
import { settingFix } from "./setting-fix.ts";

/** Slots are copied to standbys from here on. */
const COPIES_SLOTS = 170_000;
/** A standby can be read from here on. */
const STANDBY_READABLE = 160_000;

/** @param slots all of the server @param own the name of the source's */
export function failoverFindings(server: ServerFacts, slots: readonly Slot[], own: string): readonly Finding[] {
  if (server.standby) return [standbyFinding(server)];
  const physical = slots.filter(({ plugin, temporary, lost }) => plugin === null && !temporary && lost === null);
  const standbys = physical.filter(({ active }) => active);
  const marked = slots.find(({ name }) => name === own)?.failover ?? null;
  const findings = [
    ...stalledFindings(server, physical),
    ...(standbys.length === 0 ? [] : readinessFindings(server, standbys, own, marked)),
  ];
  if (findings.length > 0) return findings;
  const message =
    standbys.length === 0
      ? "no standby reads this server by a slot"
      : `the slot goes along to ${standbys.map(({ name }) => name).join(", ")}, if sync_replication_slots is on there`;
  return [about("failover").ok("FAILOVER", message)];
}

function standbyFinding({ version }: ServerFacts): Finding {
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
function stalledFindings({ awaited, provider }: ServerFacts, physical: readonly Slot[]): readonly Finding[] {
  const here = awaited.flatMap((name) => physical.find((slot) => slot.name === name) ?? []);
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
  { version, awaited, provider }: ServerFacts,
  standbys: readonly Slot[],
  slot: string,
  marked: boolean | null,
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
