// What a running source needs again and again: that it is asked how far the database's log is ahead, looked after whether it
// moves, and sent a heartbeat through.

import type { Clock } from "../clock.ts";
import { BugError } from "../errors.ts";
import type { Source, SourceLag } from "../source/source.ts";

export interface TendSourceOptions {
  readonly reader: Source;
  readonly everyMs: number;
  /** Undefined while it cannot be had. */
  readonly onLag: (lag: SourceLag | undefined) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Resolves with the signal. @throws BugError */
export async function tendSource({ reader, everyMs, onLag, clock, signal }: TendSourceOptions): Promise<void> {
  while (!signal.aborted) {
    // Why it cannot be had is for the reader to find out: it is on the same database, and decides what to do.
    const lag = await tendOnce(reader, signal).catch((error: unknown) => {
      if (error instanceof BugError) throw error;
      return undefined;
    });
    onLag(signal.aborted ? undefined : lag);
    await clock.sleep(everyMs, signal);
  }
  onLag(undefined);
}

/** In this order: what the log had reached by the last time is what must have moved; a heartbeat is for the next time. */
export async function tendOnce(reader: Source, signal: AbortSignal): Promise<SourceLag> {
  const lag = await reader.lag(signal);
  await reader.checkProgress?.();
  await reader.heartbeat?.send();
  return lag;
}
