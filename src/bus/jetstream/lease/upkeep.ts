// What a writer does beside writing: renew the lease, ping the server for the durable horizon, look at an idle stream.

import type { Clock } from "../../../clock.ts";
import { FencedError, TransientError } from "../../../errors.ts";
import type { StreamPort } from "../stream/port.ts";
import type { Horizon } from "./horizon.ts";
import type { Lease } from "./lease.ts";

export interface UpkeepOptions {
  readonly port: StreamPort;
  readonly clock: Clock;
  readonly lease: Lease;
  readonly signal: AbortSignal;
  readonly horizons: readonly Horizon<unknown>[];
  readonly idleCheckMs: number;
  /** The highest sequence that was acknowledged to us. */
  readonly lastSeq: () => number;
  readonly isIdle: () => boolean;
  readonly onTick: () => void;
  readonly onDisrupted: (reason: string) => void;
  readonly onFailed: (error: Error) => void;
}

/** Starts the loops; they end with the signal. */
export function startUpkeep(options: UpkeepOptions): void {
  const { port, lease, horizons, idleCheckMs } = options;
  void repeat(options, lease.ttlMs / 3, async () => {
    await lease.renew();
    options.onTick();
  });
  const pingEveryMs = horizons[0]?.pingEveryMs;
  if (pingEveryMs !== undefined) {
    void repeat(options, pingEveryMs, async () => {
      const answers = horizons.map((horizon) => horizon.ping());
      await asked(options, () => port.ping());
      for (const answered of answers) answered();
      options.onTick();
    });
  }
  void repeat(options, idleCheckMs, async () => {
    const idle = options.isIdle();
    const highest = options.lastSeq();
    // Also while it is written to: what somebody has edited may be one that cannot serve any more.
    const state = await asked(options, () => port.info());
    if (!idle) return;
    if (state === undefined || state.lastSeq < highest)
      options.onDisrupted("the stream is shorter than what it had acknowledged");
  });
}

/** A server that does not answer may have restarted, though the one that we are connected to has not. */
async function asked<T>({ port, onDisrupted }: UpkeepOptions, ask: () => Promise<T>): Promise<T> {
  let heard = false;
  const stopListening = port.onDisruption(() => {
    heard = true; // that is told already
  });
  try {
    return await ask();
  } catch (error) {
    if (error instanceof TransientError && !heard) onDisrupted("the bus did not answer");
    throw error;
  } finally {
    stopListening();
  }
}

/** While the bus is away a step fails and comes again: publishing notices by itself and recovers. */
export async function repeat(
  { clock, signal, onFailed }: Pick<UpkeepOptions, "clock" | "signal" | "onFailed">,
  everyMs: number,
  step: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal);
    if (signal.aborted) return;
    try {
      await step();
    } catch (error) {
      if (error instanceof TransientError) continue;
      onFailed(error instanceof Error ? error : new FencedError("LEASE_LOST", String(error)));
      return;
    }
  }
}

export interface UnderLeaseOptions {
  readonly lease: Lease;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Works while the lease is renewed. @param work is given a signal that aborts with the other one, or when the lease is lost */
export async function underLease<T>(
  { lease, clock, signal }: UnderLeaseOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const lost = new AbortController();
  void repeat({ clock, signal: ended.signal, onFailed: (error) => lost.abort(error) }, lease.ttlMs / 3, () =>
    lease.renew(),
  );
  try {
    return await work(AbortSignal.any([signal, lost.signal]));
  } finally {
    ended.abort();
  }
}
