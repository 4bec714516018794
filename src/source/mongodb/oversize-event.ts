// An event that the server cannot send, because a part of it is larger than a document may be: what can be had of it.

import type { MongoClient } from "mongodb";
import { HistoryLostError, PoisonError } from "../../errors.ts";
import { ChangeCursor, type StreamSettings } from "./client/change-cursor.ts";
import { openBehind } from "./client/overlap.ts";
import type { Place } from "./client/position.ts";
import type { Oversize } from "./decode/poison-event.ts";

const WAIT_MS = 1_000;

/** @param thrown what the server said of it */
export function oversizeOf(thrown: unknown): Oversize {
  const [, size = "0"] = /size: (\d+)/.exec((thrown as Error).message) ?? [];
  const sizeBytes = Number(size);
  const error = new PoisonError("EVENT_TOO_LARGE", `the server cannot send an event of ${sizeBytes} bytes`, {
    hint: "a part of it is larger than a document may be (16 MB): keep documents below that, or ask for fewer images",
  });
  return { error, sizeBytes };
}

/** Where there is no way around it. */
export function cannotPass(cause: unknown): HistoryLostError {
  return new HistoryLostError("EVENT_UNSENDABLE", oversizeOf(cause).error.message, {
    hint: "Nothing behind it can be read: run --adopt starts over from now and records the gap. Keep documents well below 16 MB, or ask for fewer images.",
    cause,
  });
}

/**
 * The event behind a place, without documents and without what an update has set. Undefined when the signal aborts.
 * @throws HistoryLostError; what the driver throws
 */
export async function readBare(
  client: MongoClient,
  {
    settings,
    place,
    signal,
  }: { readonly settings: StreamSettings; readonly place: Place; readonly signal: AbortSignal },
): Promise<Buffer | undefined> {
  const bare = { ...settings, before: false, fullDocument: undefined, bare: true, oneByOne: true };
  const cursor = new ChangeCursor(client, bare, signal);
  try {
    const { batch: first, overlap } = await openBehind(cursor, place, true);
    for (let batch = first; !signal.aborted; batch = await cursor.next(WAIT_MS)) {
      const [event] = overlap?.take(batch) ?? batch.events;
      if (event !== undefined) return event;
    }
    return undefined;
  } finally {
    await cursor.close();
  }
}
