// The slot that a stream needs, as the server has it now: there, and with its log.

import { type MillraceError, TransientError } from "../../errors.ts";
import { sqlState, translateError } from "./client/errors.ts";
import { parseLsn } from "./client/lsn.ts";
import type { Session } from "./client/session.ts";
import { readSlots, type Slot } from "./facts/slots.ts";
import { slotMissing } from "./slot/provide-slot.ts";
import { checkKept } from "./slot/slot.ts";
import { publicationGone } from "./tables/publication.ts";

/** Where the slot begins. @throws HistoryLostError SLOT_MISSING, SLOT_LOST; TransientError SLOT_ACTIVE */
export async function freeSlot(session: Session, name: string): Promise<bigint> {
  const { active, confirmed } = await keptSlot(session, name);
  if (active || confirmed === null) throw new TransientError("SLOT_ACTIVE", "the slot has a reader");
  return parseLsn(confirmed);
}

/** Two codes say too little about what is gone: asks the server. All other errors stay as they are. */
export async function explained(
  error: MillraceError,
  session: Session,
  { slot, publication }: { readonly slot: string; readonly publication: string },
): Promise<MillraceError> {
  const state = sqlState(error.cause);
  if (state !== "42704" && state !== "55000") return error;
  try {
    await keptSlot(session, slot);
  } catch (better) {
    return translateError(better);
  }
  return state === "42704" ? publicationGone(publication) : error;
}

async function keptSlot(session: Session, name: string): Promise<Slot> {
  const [slot] = await readSlots(session, name);
  if (slot === undefined) throw slotMissing(name);
  checkKept(slot);
  return slot;
}
