// From what came to what is answered: stored on the bus first, then said.
//
// What holds at each step. Before `receive`: nothing is stored, and nothing was answered. It resolves: event and id are
// stored in one atomic batch. Killed before the answer is out: the sender sends again, and is told `duplicate`. It takes too
// long, or the bus is away: 503, whatever becomes of it; sent again it is either stored now, or a duplicate. Of a request
// with several events some may be stored when it is 503: sent again those are duplicates, the others are stored.

import type { Bus, ReceivedKey } from "../bus/bus.ts";
import { type Clock, within } from "../clock.ts";
import { TransientError } from "../errors.ts";
import type { WorkerEvent } from "../event/worker-event.ts";

/** One event, and what it is known by. */
export interface Incoming {
  readonly event: WorkerEvent;
  readonly keys: readonly ReceivedKey[];
}

/** `stored`: at least one was not there before. */
export type Stored =
  | { readonly status: "accepted" }
  | { readonly status: "duplicate"; readonly notes: readonly (string | undefined)[] };

export interface StoreOptions {
  /** Undefined while it has never been connected. */
  bus(): Pick<Bus, "receive"> | undefined;
  readonly clock: Clock;
}

/** Senders wait from 3 s (Slack) to 10 s (GitHub, whose bodies may be large). */
const ANSWER_MS = 2500;
const LARGE_ANSWER_MS = 8000;
const LARGE_BYTES = 1024 * 1024;
/** Events of one request that are on their way at once. */
const AT_ONCE = 32;

/**
 * Stores all events of a request. The promise of `settled` ends when nothing of it is in hand any more, however it ended.
 * @throws what the bus throws: TransientError, ConfigError; TransientError BUS_SLOW
 */
export function store(
  incoming: readonly Incoming[],
  { bus, clock }: StoreOptions,
): { readonly stored: Promise<Stored>; readonly settled: Promise<unknown> } {
  const large = incoming.some(({ event }) => event.data.length > LARGE_BYTES);
  const work = storeAll(incoming, bus());
  const timed = within(clock, large ? LARGE_ANSWER_MS : ANSWER_MS, work).then((stored) => {
    if (stored !== undefined) return stored;
    throw new TransientError("BUS_SLOW", "the bus has not stored in time what was received", {
      hint: "see why it is slow; the sender was told to send it again",
    });
  });
  return { stored: timed, settled: work.catch(() => {}) };
}

async function storeAll(incoming: readonly Incoming[], bus: Pick<Bus, "receive"> | undefined): Promise<Stored> {
  if (bus === undefined) {
    throw new TransientError("BUS_INTERRUPTED", "NATS is not connected", { hint: "it is to be sent again" });
  }
  const notes: (string | undefined)[] = [];
  let fresh = false;
  let next = 0;
  const some = async (): Promise<void> => {
    for (let one = incoming[next++]; one !== undefined; one = incoming[next++]) {
      const result = await bus.receive(one.event, one.keys);
      if (result.stored) fresh = true;
      else notes.push(result.note);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, incoming.length) }, some));
  return fresh ? { status: "accepted" } : { status: "duplicate", notes };
}
