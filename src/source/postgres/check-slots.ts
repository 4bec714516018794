// What `check` says of slots: the source's own, and others that nobody reads.

import { type Finding, findingOf } from "../../telemetry/finding.ts";
import type { Session } from "./session.ts";
import { checkKept, checkKind } from "./slot.ts";
import { quoteLiteral } from "./sql.ts";

export interface SlotFacts {
  readonly name: string;
  readonly plugin: string | null;
  readonly database: string | null;
  readonly twoPhase: boolean;
  readonly temporary: boolean;
  readonly active: boolean;
  readonly pid: number | null;
  readonly lost: string | null;
  /** Log that it holds back; null when it holds none. */
  readonly retainedBytes: number | null;
}

export async function readSlots(session: Session): Promise<readonly SlotFacts[]> {
  return session.query<{ [Key in keyof SlotFacts]: SlotFacts[Key] }>(`
    SELECT slot_name AS name, plugin, database, coalesce(two_phase, false) AS "twoPhase", temporary, active,
      active_pid AS pid,
      coalesce(to_jsonb(s)->>'invalidation_reason', CASE wal_status WHEN 'lost' THEN 'the server removed its log' END) AS lost,
      pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::float8
        AS "retainedBytes"
    FROM pg_replication_slots s ORDER BY slot_name`);
}

/** @param name of the source's own */
export function ownSlotFinding(
  slots: readonly SlotFacts[],
  name: string,
  server: { readonly database: string },
): Finding {
  const subject = `slot ${name}`;
  const slot = slots.find((candidate) => candidate.name === name);
  if (slot === undefined)
    return { level: "ok", code: "SLOT", subject, message: "the worker makes it at its first start" };
  const state = { ...slot, confirmed: undefined, lost: slot.lost ?? undefined };
  try {
    checkKind(state, server.database);
  } catch (error) {
    return findingOf(error, subject);
  }
  try {
    checkKept(state);
  } catch (error) {
    return findingOf(error, subject);
  }
  const holds = `it holds back ${megabytes(slot.retainedBytes)} of log`;
  const reader = slot.active ? `the process ${slot.pid} reads it` : "nobody reads it now";
  return { level: "ok", code: "SLOT", subject, message: `${reader}; ${holds}` };
}

/** Another's slot is no business of ours, but the disk that it fills is. */
export function otherSlotFindings(slots: readonly SlotFacts[], own: string): readonly Finding[] {
  const dead = slots.filter((slot) => slot.name !== own && !slot.active && !slot.temporary);
  if (dead.length === 0) {
    return [{ level: "ok", code: "SLOT_DEAD", subject: "other slots", message: "none is without a reader" }];
  }
  return dead.map(({ name, retainedBytes, lost }) => ({
    level: "warn",
    code: "SLOT_DEAD",
    subject: `slot ${name}`,
    message:
      lost === null
        ? `nobody reads it, and it holds back ${megabytes(retainedBytes)} of log`
        : `nobody reads it, and nobody can any more: ${lost}`,
    fix: `${drop(name)} -- if nobody needs it`,
  }));
}

function drop(name: string): string {
  return `SELECT pg_drop_replication_slot(${quoteLiteral(name).trim()});`;
}

function megabytes(bytes: number | null): string {
  return bytes === null ? "0 MB" : `${Math.ceil(bytes / 1024 / 1024)} MB`;
}
