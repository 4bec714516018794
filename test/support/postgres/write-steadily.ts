// A writer of fixed rate, for tests of forecasts.

import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "../servers.ts";

/** Writes log that belongs to no table until the signal; keeps to the rate over the whole time, however slow single writes are. */
export async function writeSteadily(database: Database, bytesPerSecond: number, signal: AbortSignal): Promise<void> {
  const startedMs = performance.now();
  for (let written = 0; !signal.aborted; ) {
    const dueBytes = ((performance.now() - startedMs) / 1000) * bytesPerSecond - written;
    if (dueBytes < 100_000) await delay(10);
    else {
      await database.query("select pg_logical_emit_message(false, 'x', repeat('x', $1))", [Math.round(dueBytes)]);
      written += Math.round(dueBytes);
    }
  }
}
