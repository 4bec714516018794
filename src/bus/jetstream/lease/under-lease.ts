// Keeps a lease alive while a start is under way, which may have a long stream to walk: else another worker would take it
// meanwhile, and lose it again in the same way.

import type { Clock } from "../../../clock.ts";
import type { Lease } from "./lease.ts";
import { repeat } from "./upkeep.ts";

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
