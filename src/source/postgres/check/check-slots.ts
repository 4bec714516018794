// What `check` says of slots: the source's own, and others that nobody reads.

import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import { quoteLiteral } from "../client/sql.ts";
import type { Names } from "../facts/names.ts";
import type { Slot } from "../facts/slots.ts";
import { strangerOf } from "../slot/first-start.ts";
import type { Home } from "../slot/identity.ts";
import { checkNames, slotMissing } from "../slot/provide-slot.ts";
import { checkKept, checkKind } from "../slot/slot.ts";
import type { SlotRecord } from "../slot/slot-record.ts";

/**
 * @param names of the source's own slot and publication
 * @param intent what the source has on record of them
 */
export function ownSlotFinding(
  slot: Slot | undefined,
  names: Names,
  server: Home,
  intent: SlotRecord | undefined | "unknown",
): Finding {
  const subject = `slot ${names.slot}`;
  try {
    if (intent !== "unknown") checkRecord(intent, slot, names, server);
    if (slot === undefined) return about(subject).ok("SLOT", "the worker makes it at its first start");
    checkKind(slot, server.database);
    checkKept(slot);
  } catch (error) {
    return findingOf(error, subject);
  }
  const holds = `it holds back ${megabytes(slot.retainedBytes)} of log`;
  const reader = slot.active ? `the process ${slot.pid} reads it` : "nobody reads it now";
  return about(subject).ok("SLOT", `${reader}; ${holds}`);
}

/** As a start does. @throws ConfigError SLOT_UNKNOWN, SLOT_RENAMED, SOURCE_OTHER_DATABASE; HistoryLostError SLOT_MISSING, SOURCE_OTHER_CLUSTER */
function checkRecord(intent: SlotRecord | undefined, slot: Slot | undefined, names: Names, home: Home): void {
  if (intent !== undefined && intent.stage !== "planned") checkNames(intent, names);
  const stranger = strangerOf(intent, home, slot);
  if (stranger !== undefined) throw stranger;
  if (intent?.stage === "created" && slot === undefined) throw slotMissing(names.slot);
}

/**
 * Another's slot is no business of ours, but the disk that it fills is.
 * @param configured slots of configured sources: their own findings tell of them
 * @param idleSeconds for how long one must have been without a reader, where the server tells
 */
export function otherSlotFindings(
  slots: readonly Slot[],
  configured: readonly string[],
  idleSeconds: number,
): readonly Finding[] {
  const isDead = (slot: Slot): boolean =>
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
