// The way from nothing to a slot whose beginning is on record, such that a crash anywhere on it loses nothing.

import { setTimeout as delay } from "node:timers/promises";
import type { ClientConfig } from "pg";
import { ConfigError, HistoryLostError, TransientError } from "../../errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { SourceMemory } from "../source.ts";
import { checkCluster, type System } from "./identity.ts";
import { formatLsn, parseLsn } from "./lsn.ts";
import type { Created, Intent, Planned } from "./memory.ts";
import type { Session } from "./session.ts";
import { checkKept, checkKind, createSlot, dropSlot, endReader, findSlot, type Slot } from "./slot.ts";

export interface SlotNames {
  readonly slot: string;
  readonly publication: string;
  readonly database: string;
}

export interface FirstStartOptions extends SlotNames {
  readonly session: Session;
  /** Of a replication connection. */
  readonly replication: ClientConfig;
  readonly system: System;
  readonly memory: SourceMemory;
  readonly log: Logger;
  readonly adopt: boolean;
  /** Makes or adjusts the publication: it must be there before the slot, or the slot's log lacks its rows. */
  readonly ensurePublication: (mayCreate: boolean) => Promise<void>;
}

export interface ProvidedSlot {
  readonly intent: Created;
  readonly saved: boolean;
}

const FIRST_HISTORY = 1;
const LEAVE_MS = 5_000;

/**
 * The slot on record: it is there, of the right kind, and its log is kept. An adopted one is not saved yet, for its
 * history depends on what the stream holds.
 * @throws HistoryLostError SLOT_MISSING, SLOT_LOST, SOURCE_OTHER_CLUSTER, PUBLICATION_MISSING
 * @throws ConfigError SLOT_UNKNOWN, SLOT_RENAMED, SLOT_WRONG_PLUGIN, SLOT_WRONG_DATABASE
 */
export async function provideSlot(intent: Intent | undefined, options: FirstStartOptions): Promise<ProvidedSlot> {
  const slot = await findSlot(options.session, options.slot);
  if (intent?.stage === "created") return keepSlot(intent, slot, options);
  const planned = intent !== undefined && isSamePlan(intent, options) ? intent : undefined;
  if (slot === undefined) return makeSlot(planned, options);
  if (planned !== undefined) return finishPlan(planned, slot, options);
  return adoptSlot(slot, options);
}

async function keepSlot(intent: Created, slot: Slot | undefined, options: FirstStartOptions): Promise<ProvidedSlot> {
  for (const what of ["slot", "publication"] as const) {
    if (intent[what] === options[what]) continue;
    throw new ConfigError("SLOT_RENAMED", `the stream comes from the ${what} ${intent[what]}, not ${options[what]}`, {
      hint: `Set the option ${what} back to ${JSON.stringify(intent[what])}, or use another source's id for a new stream.`,
    });
  }
  checkCluster(intent, options.system);
  if (slot === undefined) throw slotMissing(options.slot);
  checkKind(slot, options.database);
  checkKept(slot);
  await options.ensurePublication(false);
  return { intent, saved: true };
}

/** Nothing was ever read from a slot that is only planned. One that is newer than the plan was made by it. */
async function finishPlan(planned: Planned, found: Slot, options: FirstStartOptions): Promise<ProvidedSlot> {
  const slot = found.confirmed === undefined ? await endMaking(found, options.session) : found;
  if (slot === undefined) return makeSlot(planned, options);
  checkKind(slot, options.database);
  if (slot.confirmed === undefined || slot.confirmed < parseLsn(planned.plannedAt)) return adoptSlot(slot, options);
  if (slot.lost !== undefined) {
    await dropSlot(options.session, slot.name);
    return makeSlot(planned, options);
  }
  await options.ensurePublication(true);
  return saveCreated(planned, formatLsn(slot.confirmed), options);
}

async function makeSlot(earlier: Planned | undefined, options: FirstStartOptions): Promise<ProvidedSlot> {
  const planned = earlier ?? plan(options);
  if (earlier === undefined) await options.memory.save(planned);
  await options.ensurePublication(true);
  const consistentPoint = await createSlot(options.replication, options.session, options.slot);
  options.log.info("source_slot_created", { slot: options.slot, consistentPoint });
  return saveCreated(planned, consistentPoint, options);
}

async function adoptSlot(slot: Slot, options: FirstStartOptions): Promise<ProvidedSlot> {
  if (!options.adopt) throw slotUnknown(slot.name);
  checkKind(slot, options.database);
  checkKept(slot);
  if (slot.confirmed === undefined) throw new TransientError("SLOT_BLOCKED", `the slot ${slot.name} is being made`);
  await options.ensurePublication(false);
  const { plannedAt: _, ...identity } = plan(options);
  const consistentPoint = formatLsn(slot.confirmed);
  return { intent: { ...identity, stage: "created", consistentPoint, reason: "adopted" }, saved: false };
}

async function saveCreated(planned: Planned, point: string, { memory }: FirstStartOptions): Promise<ProvidedSlot> {
  const { plannedAt: _, ...identity } = planned;
  const intent: Created = { ...identity, stage: "created", consistentPoint: point, reason: "first start" };
  await memory.save(intent);
  return { intent, saved: true };
}

function plan({ slot, publication, database, system }: FirstStartOptions): Planned {
  const { systemId, timeline } = system;
  const plannedAt = formatLsn(system.end);
  return { stage: "planned", slot, publication, database, systemId, timeline, history: FIRST_HISTORY, plannedAt };
}

function isSamePlan(intent: Planned, { slot, publication, database, system }: FirstStartOptions): boolean {
  return (
    intent.slot === slot &&
    intent.publication === publication &&
    intent.database === database &&
    intent.systemId === system.systemId
  );
}

/** A slot in the making belongs to a connection that was left behind; with it the slot goes. */
async function endMaking(slot: Slot, session: Session): Promise<Slot | undefined> {
  const deadline = performance.now() + LEAVE_MS;
  for (;;) {
    await endReader(session, slot.name);
    const now = await findSlot(session, slot.name);
    if (now?.confirmed !== undefined || now === undefined) return now;
    if (performance.now() > deadline) return now;
    await delay(50); // it is gone only some time after its connection
  }
}

export function slotUnknown(slot: string): ConfigError {
  return new ConfigError("SLOT_UNKNOWN", `there is a slot ${slot}, but no record of having made it`, {
    hint: "If it is this source's own: run --adopt takes it over and records a gap. Else drop it, or set the option slot to another name.",
  });
}

export function slotMissing(slot: string): HistoryLostError {
  return new HistoryLostError("SLOT_MISSING", `the slot ${slot} was dropped`, {
    hint: "What was committed since then is lost to the stream: start over with a new slot and a backfill.",
  });
}
