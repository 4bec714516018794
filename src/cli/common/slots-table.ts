// The slots of a server as a table of at most 100 columns, and below each one what is to be said of it.

import type { ServerReport, SlotReport } from "../../source/postgres/commands/slots.ts";
import { nameOfTransaction } from "../../source/postgres/slot/transactions.ts";
import { bytes, duration, preciseSeconds } from "../../telemetry/quantities.ts";
import { alarmLines, type Paint, printable, row, wrap } from "./terminal.ts";

const WIDTHS: readonly number[] = [27, 13, 8, 9, 9, 11, 9, 7];
const HEADS: readonly string[] = ["SLOT", "STATE", "PID", "RETAINED", "UNSENT", "UNCONFIRMED", "SPILLED", "FULL IN"];
const SOON_SECONDS = 3600;
const PINNED_BYTES = 64 * 1024 * 1024;
const OLD_XMIN = 50_000_000;
const DEAD_SECONDS = 300;

/** A slot, and what the worker that reads it says; null where none runs. */
export interface ShownSlot extends SlotReport {
  readonly lagSeconds: number | null;
  readonly heartbeatSeconds: number | null;
  /** What it says is beyond its limit. */
  readonly alarms: readonly { readonly code: string; readonly message: string }[];
}

/** @param sources ids of the sources that read from this server */
export function slotLines(
  report: ServerReport & { readonly slots: readonly ShownSlot[] },
  sources: readonly string[],
  paint: Paint,
): readonly string[] {
  const rate = report.walBytesPerSecond === null ? "" : `, writing ${bytes(report.walBytesPerSecond)}/s of log`;
  const lines = [paint("bold", printable(`server of ${sources.join(", ")}${rate}`)), paint("dim", row(WIDTHS, HEADS))];
  if (report.slots.length === 0) lines.push("no logical slots");
  for (const slot of report.slots) {
    const cells = [
      `${slot.source === null ? " " : "*"} ${slot.name}`,
      stateOf(slot),
      slot.pid === null ? "-" : String(slot.pid),
      bytes(slot.retainedBytes),
      bytes(slot.unsentBytes),
      bytes(slot.unconfirmedBytes),
      bytes(slot.spilledBytes),
      duration(slot.fullInSeconds),
    ];
    lines.push(paint(colourOf(slot), row(WIDTHS, cells)));
    for (const note of notesOf(slot)) lines.push(...wrap(printable(note), 94).map((line) => `      ${line}`));
  }
  const oldest = report.oldestTransaction;
  if (oldest !== null) {
    const age = oldest.ageSeconds === null ? "" : `, open for ${duration(oldest.ageSeconds)}`;
    const name = printable(nameOfTransaction(oldest));
    lines.push(...wrap(`oldest writing transaction: ${name}${age}; no slot's log is dropped past it`, 100));
  }
  return lines;
}

function stateOf({ active, invalidation, inactiveSeconds }: SlotReport): string {
  if (invalidation !== null) return "lost";
  if (active) return "read";
  return inactiveSeconds === null ? "not read" : `idle ${duration(inactiveSeconds)}`;
}

function colourOf(slot: SlotReport): "red" | "yellow" | "green" {
  const soon = slot.fullInSeconds !== null && slot.fullInSeconds < SOON_SECONDS && !slot.active;
  const lost = slot.invalidation !== null || slot.walStatus === "unreserved";
  if (lost || soon || (slot.unconfirmedBytes ?? 0) < 0) return "red";
  return slot.active ? "green" : "yellow";
}

function notesOf(slot: ShownSlot): readonly string[] {
  const notes: string[] = [];
  if (slot.lagSeconds !== null) {
    notes.push(
      `its worker: ${preciseSeconds(slot.lagSeconds)} behind, heartbeat ${preciseSeconds(slot.heartbeatSeconds)}`,
    );
  }
  notes.push(...alarmLines(slot.alarms));
  if (slot.invalidation !== null) notes.push(`the server gave it up: ${slot.invalidation}`);
  if (slot.orphan) notes.push("no configured source reads it; if none should:", `millrace slots drop ${slot.name}`);
  const dead = slot.invalidation !== null || (slot.inactiveSeconds ?? 0) >= DEAD_SECONDS;
  if (slot.source === null && !slot.orphan && dead) {
    notes.push("a neighbour's, without a reader: what it holds fills the same disk; if nobody needs it:");
    notes.push(`millrace slots drop ${slot.name}`);
  }
  if (slot.source !== null && slot.failover === false) {
    notes.push("not marked for failover: a standby that is promoted does not have it (millrace check)");
  }
  if (slot.synced === true) notes.push("a copy: this server is a standby, and the slot is the primary's");
  if (slot.walStatus === "unreserved") notes.push("over max_slot_wal_keep_size: lost at the next checkpoint");
  if ((slot.unconfirmedBytes ?? 0) < 0)
    notes.push("its reader acknowledged what was never written: events are skipped");
  if ((slot.restartGapBytes ?? 0) > PINNED_BYTES) {
    notes.push(`${bytes(slot.restartGapBytes)} of it are acknowledged and held by a long transaction`);
  }
  if ((slot.catalogXminAge ?? 0) > OLD_XMIN)
    notes.push(`VACUUM of the catalog waits: ${slot.catalogXminAge} transactions`);
  return notes;
}
