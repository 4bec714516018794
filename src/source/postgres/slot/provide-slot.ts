// The slot that a source reads: the one on record, a first one, or the next one after a loss that was accepted.

import { ConfigError, HistoryLostError } from "../../../errors.ts";
import type { Names } from "../facts/names.ts";
import { adoptSlot, type FirstStartOptions, firstStart, type ProvidedSlot, startHistory } from "./first-start.ts";
import { checkHome, partedAt } from "./identity.ts";
import { checkKept, checkKind, dropSlotWhenFree } from "./slot.ts";
import { type Abandoned, type Created, causeOf, type SlotRecord } from "./slot-record.ts";

/**
 * The slot is there, of the right kind, and its log is kept. An adopted one is not saved yet, for its history depends on
 * what the stream holds. A loss that may be accepted is: abandoned, then planned, then created are saved, with the old
 * slot dropped behind the first, so that a crash between any two comes to the same end.
 * @throws HistoryLostError SLOT_MISSING, SLOT_LOST, SOURCE_OTHER_CLUSTER, PUBLICATION_MISSING
 * @throws ConfigError SLOT_UNKNOWN, SLOT_RENAMED, SLOT_WRONG_PLUGIN, SLOT_WRONG_DATABASE, SOURCE_OTHER_DATABASE
 */
export async function provideSlot(intent: SlotRecord | undefined, options: FirstStartOptions): Promise<ProvidedSlot> {
  if (intent === undefined || intent.stage === "planned") return firstStart(intent, options);
  checkNames(intent, options);
  if (intent.stage === "abandoned") return startOver(intent, options);
  try {
    return await keepSlot(intent, options);
  } catch (error) {
    if (!(error instanceof HistoryLostError) || !options.accepts(error)) throw error;
    const abandoned = abandon(intent, error, await partedAt(options.client, options.system, intent));
    await options.memory.save(abandoned);
    return startOver(abandoned, options);
  }
}

/** @param history the newest one that anything speaks of */
export function abandon(
  intent: Created,
  error: HistoryLostError,
  switchedAt: bigint | undefined,
  history: number = intent.history,
): Abandoned {
  const { slot, publication, database, systemId, timeline } = intent;
  const cause = causeOf(error, switchedAt);
  return { stage: "abandoned", slot, publication, database, systemId, timeline, history, cause };
}

export function slotMissing(slot: string): HistoryLostError {
  return new HistoryLostError("SLOT_MISSING", `the slot ${slot} was dropped`, {
    hint: "What was committed since then is lost to the stream: run --adopt starts over with a new slot and records the gap.",
  });
}

async function keepSlot(intent: Created, options: FirstStartOptions): Promise<ProvidedSlot> {
  const slot = options.found;
  checkHome(intent, { ...options.system, database: options.database }, slot?.database);
  if (slot === undefined) throw slotMissing(options.slot);
  checkKind(slot, options.database);
  checkKept(slot);
  await options.ensurePublication(false);
  return { intent, saved: true };
}

async function startOver(abandoned: Abandoned, options: FirstStartOptions): Promise<ProvidedSlot> {
  const next = { history: abandoned.history + 1, cause: abandoned.cause };
  const slot = options.found;
  if (slot !== undefined) {
    // Another cluster's slot was never on record: it may be somebody else's, or one that an upgrade took along.
    if (abandoned.systemId !== options.system.systemId) return adoptSlot(slot, next, options);
    checkKind(slot, abandoned.database);
    await options.ensurePublication(true); // before anything is dropped: it may be refused
    await dropSlotWhenFree(options.session, slot.name);
  }
  return startHistory(next, options);
}

/** @throws ConfigError SLOT_RENAMED */
export function checkNames(intent: Abandoned | Created, options: Names): void {
  for (const what of ["slot", "publication"] as const) {
    if (intent[what] === options[what]) continue;
    throw new ConfigError("SLOT_RENAMED", `the stream comes from the ${what} ${intent[what]}, not ${options[what]}`, {
      hint: `Set the option ${what} back to ${JSON.stringify(intent[what])}, or use another source's id for a new stream.`,
    });
  }
}
