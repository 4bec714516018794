// Asks a running source again and again how far the database's log is ahead of it.

import { BugError } from "../errors.ts";
import type { Source, SourceLag } from "../source/source.ts";
import { pause } from "./backoff.ts";

export interface PollLagOptions {
  readonly reader: Source;
  readonly everyMs: number;
  /** Undefined while it cannot be had. */
  readonly onLag: (lag: SourceLag | undefined) => void;
  readonly signal: AbortSignal;
}

/** Resolves with the signal. @throws BugError */
export async function pollLag({ reader, everyMs, onLag, signal }: PollLagOptions): Promise<void> {
  while (!signal.aborted) {
    // Why it cannot be had is for the reader to find out: it is on the same database, and decides what to do.
    const lag = await reader.lag(signal).catch((error: unknown) => {
      if (error instanceof BugError) throw error;
      return undefined;
    });
    onLag(signal.aborted ? undefined : lag);
    await pause(everyMs, signal);
  }
  onLag(undefined);
}
