// A replication slot: what state it is in, making one, taking it from a reader that should no longer be there.

import { setTimeout as delay } from "node:timers/promises";
import type { ClientConfig } from "pg";
import { ConfigError, HistoryLostError, TransientError } from "../../../errors.ts";
import { NO_TRANSACTION_TIMEOUT } from "../client/display-settings.ts";
import { sqlState, translateError } from "../client/errors.ts";
import type { Session } from "../client/session.ts";
import { quoteIdentifier } from "../client/sql.ts";
import { askWalsender } from "../client/walsender.ts";
import { readSlots, type Slot } from "../facts/slots.ts";
import { nameOfTransaction, readTransactions } from "./transactions.ts";

const TAKE_OVER_MS = 5_000;
const RETRY_MS = 50;
/** Making a slot waits for all writing transactions that run. Without a limit an abandoned one would pin the log. */
const CREATE_LOCK_MS = 20_000;

/** @throws ConfigError SLOT_WRONG_PLUGIN, SLOT_WRONG_DATABASE */
export function checkKind(slot: Slot, database: string): void {
  const hint = "Name another slot with the option slot, or drop this one if nobody needs it.";
  if (slot.plugin !== "pgoutput" || slot.twoPhase) {
    const kind = slot.twoPhase ? "two-phase" : (slot.plugin ?? "physical");
    throw new ConfigError("SLOT_WRONG_PLUGIN", `the slot ${slot.name} is ${kind}, not one-phase pgoutput`, { hint });
  }
  if (slot.database !== database) {
    const message = `the slot ${slot.name} belongs to the database ${slot.database}, not to ${database}`;
    throw new ConfigError("SLOT_WRONG_DATABASE", message, { hint });
  }
}

/** @throws HistoryLostError SLOT_LOST */
export function checkKept(slot: Slot): void {
  if (slot.lost === null) return;
  throw new HistoryLostError("SLOT_LOST", `the server gave up the slot ${slot.name}: ${slot.lost}`, {
    hint: "The log between is gone: run --adopt starts over with a new slot and records the gap. See max_slot_wal_keep_size and idle_replication_slot_timeout.",
  });
}

/** The oldest are named. */
const MAX_BLOCKERS = 5;

/** @returns its consistent point: the log begins there */
export async function createSlot(
  config: ClientConfig,
  session: Session,
  name: string,
  lockMs: number = CREATE_LOCK_MS,
): Promise<string> {
  try {
    return await askWalsender(config, async (walsender) => {
      await walsender.query(`SET lock_timeout = ${lockMs}; ${NO_TRANSACTION_TIMEOUT}`);
      const { rows } = await walsender.query<{ consistent_point: string }>(
        `CREATE_REPLICATION_SLOT ${quoteIdentifier(name)} LOGICAL pgoutput ${await slotOptions(session)}`,
      );
      return (rows[0] as { consistent_point: string }).consistent_point;
    });
  } catch (error) {
    if (sqlState(error) === "55P03") throw await blocked(session, name, error);
    throw translateError(error);
  }
}

/** From 17 on it may go along to a standby; whether it does is the server's to say. A standby marks none. */
async function slotOptions(session: Session): Promise<string> {
  const [server] = await session.query<{ marks: boolean }>(
    "SELECT current_setting('server_version_num')::int >= 170000 AND NOT pg_is_in_recovery() AS marks",
  );
  return server?.marks === true ? "(SNAPSHOT 'nothing', FAILOVER true)" : "NOEXPORT_SNAPSHOT";
}

export async function dropSlot(session: Session, name: string): Promise<void> {
  await session.query("SELECT pg_drop_replication_slot($1)", [name]);
}

/**
 * Drops a slot that nobody reads; one that is only about to be left is waited for.
 * @throws TransientError SLOT_ACTIVE when it is still read after five seconds
 */
export async function dropSlotWhenFree(session: Session, name: string): Promise<void> {
  const deadline = performance.now() + TAKE_OVER_MS;
  for (;;) {
    try {
      await dropSlot(session, name);
      return;
    } catch (error) {
      if (!isTaken(error) || performance.now() > deadline) throw error;
    }
    await delay(RETRY_MS);
  }
}

/**
 * Does what needs the slot for itself. Another reader is ended: whoever holds the source's lease is the right one.
 * @throws TransientError SLOT_ACTIVE when it stays for five seconds
 */
export async function withSlot<Result>(session: Session, name: string, use: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + TAKE_OVER_MS;
  for (;;) {
    try {
      return await use();
    } catch (error) {
      if (!isTaken(error)) throw error;
      const pid = await endReader(session, name);
      if (performance.now() > deadline) {
        throw new TransientError("SLOT_ACTIVE", `the slot ${name} is read by the process ${pid ?? "of another"}`, {
          hint: `If it should not: SELECT pg_catalog.pg_terminate_backend(${pid ?? "active_pid"}).`,
          cause: error,
        });
      }
    }
    await delay(RETRY_MS); // the slot is free only some time after its reader has ended
  }
}

function isTaken(error: unknown): boolean {
  return sqlState(error) === "55006" || (error instanceof TransientError && error.code === "SLOT_ACTIVE");
}

export async function endReader(session: Session, name: string): Promise<number | undefined> {
  const [slot] = await readSlots(session, name);
  const pid = slot?.pid ?? undefined;
  if (pid === undefined) return undefined;
  try {
    await session.query("SELECT pg_terminate_backend($1)", [pid]);
  } catch (error) {
    // Another role's: then it must leave by itself within the time.
    if (translateError(error).code !== "PERMISSION_MISSING") throw error;
  }
  return pid;
}

async function blocked(session: Session, name: string, cause: unknown): Promise<TransientError> {
  const writers = (await readTransactions(session)).slice(0, MAX_BLOCKERS).map(nameOfTransaction);
  const message = `the slot ${name} cannot be made while older transactions write: ${writers.join(", ") || "none is left"}`;
  return new TransientError("SLOT_BLOCKED", message, {
    hint: "End them, if they do not end by themselves (a prepared one ends by COMMIT PREPARED or ROLLBACK PREPARED alone); Millrace tries again.",
    cause,
  });
}
