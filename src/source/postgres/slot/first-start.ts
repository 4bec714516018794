// The way from nothing to a slot whose beginning is on record, such that a crash anywhere on it loses nothing.

import { setTimeout as delay } from "node:timers/promises";
import type { ClientConfig } from "pg";
import { ConfigError, type MillraceError, TransientError } from "../../../errors.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { ConnectorState, SourceContext } from "../../source.ts";
import { translateError } from "../client/errors.ts";
import { parseLsn } from "../client/lsn.ts";
import type { Session } from "../client/session.ts";
import type { System } from "../client/walsender.ts";
import type { Names } from "../facts/names.ts";
import { readSlots, type Slot } from "../facts/slots.ts";
import { checkHome, type Home } from "./identity.ts";
import { checkKept, checkKind, createSlot, dropSlot, endReader } from "./slot.ts";
import { type Cause, type Created, causeOf, type Planned, type SlotRecord } from "./slot-record.ts";

export interface FirstStartOptions extends Names {
  readonly database: string;
  /** The slot of that name, as it was found under the lease; undefined where there was none. */
  readonly found: Slot | undefined;
  readonly session: Session;
  readonly client: ClientConfig;
  readonly system: System;
  readonly memory: ConnectorState;
  readonly log: Logger;
  /** Whether a slot that is not on record may be taken over, or a lost history given up for a new one. */
  readonly accepts: SourceContext["accepts"];
  /** Makes or adjusts the publication: it must be there before the slot, or the slot's log lacks its rows. */
  readonly ensurePublication: (mayCreate: boolean) => Promise<void>;
}

export interface ProvidedSlot {
  readonly intent: Created;
  readonly saved: boolean;
}

/** The history that begins: the first one, or the one after a history that was abandoned. */
export interface NextHistory {
  readonly history: number;
  readonly cause?: Cause | undefined;
}

const FIRST_HISTORY = 1;
const LEAVE_MS = 5_000;

/** Goes on with a first start, wherever it was left. @throws ConfigError SLOT_UNKNOWN */
export async function firstStart(intent: Planned | undefined, options: FirstStartOptions): Promise<ProvidedSlot> {
  const next = intent ?? { history: FIRST_HISTORY };
  const slot = options.found;
  const planned = intent !== undefined && isSamePlan(intent, options) ? intent : undefined;
  if (slot === undefined) return makeSlot(planned ?? (await plan(next, options)), options);
  if (planned !== undefined) return finishPlan(planned, slot, options);
  return adoptSlot(slot, next, options);
}

/** Plans and makes the slot of a history. There must be none of its name. */
export async function startHistory(next: NextHistory, options: FirstStartOptions): Promise<ProvidedSlot> {
  return makeSlot(await plan(next, options), options);
}

/** Nothing was ever read from a slot that is only planned. One that is newer than the plan was made by it. */
async function finishPlan(planned: Planned, found: Slot, options: FirstStartOptions): Promise<ProvidedSlot> {
  const slot = found.confirmed === null ? await endMaking(found, options.session) : found;
  if (slot === undefined) return makeSlot(planned, options);
  checkKind(slot, options.database);
  if (slot.confirmed === null || parseLsn(slot.confirmed) < parseLsn(planned.plannedAt)) {
    return adoptSlot(slot, planned, options);
  }
  if (slot.lost !== null) {
    await dropSlot(options.session, slot.name);
    return makeSlot(planned, options);
  }
  await options.ensurePublication(true);
  return saveCreated(planned, slot.confirmed, options);
}

async function makeSlot(planned: Planned, options: FirstStartOptions): Promise<ProvidedSlot> {
  await options.ensurePublication(true);
  const consistentPoint = await createSlot(options.client, options.session, options.slot);
  options.log.info("source_slot_created", { slot: options.slot, consistentPoint });
  return saveCreated(planned, consistentPoint, options);
}

/** Takes over a slot that is not on record. In the first history it is not saved yet: the stream may hold a later one. */
export async function adoptSlot(slot: Slot, next: NextHistory, options: FirstStartOptions): Promise<ProvidedSlot> {
  const unknown = slotUnknown(slot.name);
  if (!options.accepts("foreign")) throw unknown;
  checkKind(slot, options.database);
  checkKept(slot);
  if (slot.confirmed === null) throw new TransientError("SLOT_BLOCKED", `the slot ${slot.name} is being made`);
  await options.ensurePublication(false);
  const intent: Created = {
    ...identityOf(options),
    stage: "created",
    history: next.history,
    consistentPoint: slot.confirmed,
    cause: next.cause ?? causeOf(unknown),
  };
  const saved = next.cause !== undefined;
  if (saved) await options.memory.save(intent);
  return { intent, saved };
}

async function saveCreated(planned: Planned, point: string, { memory }: FirstStartOptions): Promise<ProvidedSlot> {
  const { plannedAt: _, ...identity } = planned;
  const intent: Created = { ...identity, stage: "created", consistentPoint: point };
  await memory.save(intent);
  return { intent, saved: true };
}

async function plan({ history, cause }: NextHistory, options: FirstStartOptions): Promise<Planned> {
  const planned: Planned = { ...identityOf(options), stage: "planned", history, plannedAt: options.system.end, cause };
  await options.memory.save(planned);
  return planned;
}

function identityOf({
  slot,
  publication,
  database,
  system,
}: FirstStartOptions): Omit<Planned, "stage" | "history" | "plannedAt" | "cause"> {
  return { slot, publication, database, systemId: system.systemId, timeline: system.timeline };
}

function isSamePlan(intent: SlotRecord, { slot, publication, database, system }: FirstStartOptions): boolean {
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
    const [now] = await readSlots(session, slot.name);
    if (now === undefined || now.confirmed !== null) return now;
    if (performance.now() > deadline) return now;
    await delay(50); // it is gone only some time after its connection
  }
}

/** Why a slot of the source's name, or the database, is another's than is on record; undefined where it is the source's own. */
export function strangerOf(
  record: SlotRecord | undefined,
  home: Home,
  slot: Slot | undefined,
): MillraceError | undefined {
  if (record === undefined) return slot && slotUnknown(slot.name);
  try {
    if (record.stage === "created") checkHome(record, home, slot?.database);
    return undefined;
  } catch (error) {
    return translateError(error);
  }
}

function slotUnknown(slot: string): ConfigError {
  return new ConfigError("SLOT_UNKNOWN", `there is a slot ${slot}, but no record of having made it`, {
    hint: "If it is this source's own: run --adopt takes it over and records a gap. Else drop it, or set the option slot to another name.",
  });
}
