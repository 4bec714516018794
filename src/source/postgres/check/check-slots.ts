// What `check` says of slots: the source's own, and others that nobody reads.

import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import { WRITTEN_END } from "../client/lsn.ts";
import type { Session } from "../client/session.ts";
import { quoteLiteral } from "../client/sql.ts";
import { slotUnknown } from "../slot/first-start.ts";
import { checkHome, type Home } from "../slot/identity.ts";
import { checkNames, slotMissing } from "../slot/provide-slot.ts";
import { checkKept, checkKind } from "../slot/slot.ts";
import type { SlotRecord } from "../slot/slot-record.ts";

export interface SlotFacts {
  readonly name: string;
  readonly plugin: string | null;
  readonly database: string | null;
  readonly twoPhase: boolean;
  readonly temporary: boolean;
  readonly active: boolean;
  readonly pid: number | null;
  /** Without a reader; from 17 on. */
  readonly idleSeconds: number | null;
  readonly lost: string | null;
  /** Log that it holds back; null when it holds none. */
  readonly retainedBytes: number | null;
}

export async function readSlots(session: Session): Promise<readonly SlotFacts[]> {
  return session.query<{ [Key in keyof SlotFacts]: SlotFacts[Key] }>(`
    SELECT slot_name AS name, plugin, database, coalesce(two_phase, false) AS "twoPhase", temporary, active,
      active_pid AS pid,
      extract(epoch FROM clock_timestamp() - (to_jsonb(s)->>'inactive_since')::timestamptz)::float8 AS "idleSeconds",
      coalesce(to_jsonb(s)->>'invalidation_reason', CASE wal_status WHEN 'lost' THEN 'the server removed its log' END) AS lost,
      pg_wal_lsn_diff(${WRITTEN_END}, restart_lsn)::float8 AS "retainedBytes"
    FROM pg_replication_slots s ORDER BY slot_name`);
}

/**
 * @param names of the source's own slot and publication
 * @param intent what the source has on record of them
 */
export function ownSlotFinding(
  slots: readonly SlotFacts[],
  names: { readonly slot: string; readonly publication: string },
  server: Home,
  intent: SlotRecord | undefined | "unknown",
): Finding {
  const subject = `slot ${names.slot}`;
  const slot = slots.find((candidate) => candidate.name === names.slot);
  try {
    if (intent !== "unknown") checkRecord(intent, slot, names, server);
    if (slot === undefined) return about(subject).ok("SLOT", "the worker makes it at its first start");
    const state = { ...slot, confirmed: undefined, lost: slot.lost ?? undefined };
    checkKind(state, server.database);
    checkKept(state);
  } catch (error) {
    return findingOf(error, subject);
  }
  const holds = `it holds back ${megabytes(slot.retainedBytes)} of log`;
  const reader = slot.active ? `the process ${slot.pid} reads it` : "nobody reads it now";
  return about(subject).ok("SLOT", `${reader}; ${holds}`);
}

/** As a start does. @throws ConfigError SLOT_UNKNOWN, SLOT_RENAMED, SOURCE_OTHER_DATABASE; HistoryLostError SLOT_MISSING, SOURCE_OTHER_CLUSTER */
function checkRecord(
  intent: SlotRecord | undefined,
  slot: SlotFacts | undefined,
  names: { readonly slot: string; readonly publication: string },
  home: Home,
): void {
  if (intent === undefined && slot !== undefined) throw slotUnknown(slot.name);
  if (intent === undefined || intent.stage === "planned") return;
  checkNames(intent, names);
  if (intent.stage === "abandoned") return;
  checkHome(intent, home, slot?.database);
  if (slot === undefined) throw slotMissing(names.slot);
}

/**
 * Another's slot is no business of ours, but the disk that it fills is.
 * @param configured slots of configured sources: their own findings tell of them
 * @param idleSeconds for how long one must have been without a reader, where the server tells
 */
export function otherSlotFindings(
  slots: readonly SlotFacts[],
  configured: readonly string[],
  idleSeconds: number,
): readonly Finding[] {
  const isDead = (slot: SlotFacts): boolean =>
    !configured.includes(slot.name) &&
    !slot.active &&
    !slot.temporary &&
    (slot.lost !== null || slot.idleSeconds === null || slot.idleSeconds >= idleSeconds);
  const dead = slots.filter(isDead);
  if (dead.length === 0) {
    return [about("other slots").ok("SLOT_DEAD", "none is without a reader for long")];
  }
  return dead.map(({ name, retainedBytes, lost, idleSeconds: seconds }) => {
    const since = seconds === null ? "" : ` for ${Math.round(seconds)} s`;
    return about(`slot ${name}`).warn(
      "SLOT_DEAD",
      lost === null
        ? `nobody reads it${since}, and it holds back ${megabytes(retainedBytes)} of log`
        : `nobody reads it, and nobody can any more: ${lost}`,
      `${drop(name)} -- if nobody needs it`,
    );
  });
}

function drop(name: string): string {
  return `SELECT pg_catalog.pg_drop_replication_slot(${quoteLiteral(name).trim()});`;
}

function megabytes(bytes: number | null): string {
  return bytes === null ? "0 MB" : `${Math.ceil(bytes / 1024 / 1024)} MB`;
}
