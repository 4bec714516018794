// The right to write one source's stream, held in KV by revision. It says who may try; what fences is the marker in the
// stream itself (see establish.ts), so a clock that runs wrong costs time and never order.

import type { Clock } from "../../../clock.ts";
import { FencedError, TransientError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { StateStore } from "../../state-store.ts";

/** What stands in the bucket. */
export interface LeaseRecord {
  /** Grows with every holder: it is written into each marker of the stream. */
  readonly number: number;
  /** Names the process that holds it; empty when it was given back. */
  readonly instance: string;
}

/** The bucket's entry of one source. All methods reject with TransientError while the bus is away. */
export interface LeasePort {
  read(): Promise<{ readonly record: LeaseRecord; readonly revision: number } | undefined>;
  /** @param revision of the entry it replaces, 0 for none. Resolves to the new revision, or undefined when it did not match. */
  write(record: LeaseRecord, revision: number): Promise<number | undefined>;
}

/** A source's lease in a bucket of its own kind. */
export function leasePort(leases: Pick<StateStore, "get" | "put">, source: SourceId): LeasePort {
  return {
    read: async () => {
      const entry = await leases.get(source);
      return entry && { record: entry.value as LeaseRecord, revision: entry.revision };
    },
    write: (record, revision) => leases.put(source, record, revision),
  };
}

export interface LeaseOptions {
  readonly port: LeasePort;
  readonly clock: Clock;
  readonly instance: string;
  /** Without a renewal for this long another worker may take it. */
  readonly ttlMs: number;
  /** The highest lease number that anything was written under, as far as it is still there; 0 when there is none. */
  readonly newestUsed: () => Promise<number>;
  /** Another worker holds it: called once for each holder. */
  readonly onWaiting: (holder: LeaseRecord) => void;
}

export class Lease {
  readonly number: number;
  readonly ttlMs: number;
  readonly #options: LeaseOptions;
  #revision: number;
  #renewedMs: number;

  private constructor(options: LeaseOptions, number: number, revision: number) {
    this.#options = options;
    this.ttlMs = options.ttlMs;
    this.number = number;
    this.#revision = revision;
    this.#renewedMs = options.clock.now();
  }

  /** Waits until nobody holds it, or its holder has not renewed it for the whole time to live, as seen by our own clock. */
  static async acquire(options: LeaseOptions, signal: AbortSignal): Promise<Lease> {
    const { port, clock, instance, ttlMs } = options;
    let seen: { revision: number; sinceMs: number } | undefined;
    for (;;) {
      signal.throwIfAborted();
      const held = await port.read();
      const free = held === undefined || held.record.instance === "" || held.record.instance === instance;
      if (!free && seen?.revision !== held.revision) {
        if (seen === undefined) options.onWaiting(held.record);
        seen = { revision: held.revision, sinceMs: clock.now() };
      }
      if (free || (seen !== undefined && clock.now() - seen.sinceMs >= ttlMs)) {
        const number = Math.max(held?.record.number ?? 0, await options.newestUsed()) + 1;
        const revision = await port.write({ number, instance }, held?.revision ?? 0);
        if (revision !== undefined) return new Lease(options, number, revision);
        seen = undefined;
        continue;
      }
      await clock.sleep(ttlMs / 8, signal);
    }
  }

  /** Since when nobody has confirmed that it is ours, in ms. */
  get unconfirmedMs(): number {
    return this.#options.clock.now() - this.#renewedMs;
  }

  /** Nobody may write under a lease that may have run out. @throws TransientError LEASE_UNCONFIRMED */
  refuseUnconfirmed(): void {
    if (this.unconfirmedMs <= this.ttlMs) return;
    throw new TransientError("LEASE_UNCONFIRMED", "the process was paused", {
      hint: "nothing to do: the lease is renewed first",
    });
  }

  /** @throws FencedError when another worker took it; TransientError while the bus is away */
  async renew(): Promise<void> {
    const { port, clock, instance } = this.#options;
    for (let tries = 0; tries < 5; tries++) {
      const askedMs = clock.now();
      const revision = await port.write({ number: this.number, instance }, this.#revision);
      if (revision !== undefined) {
        this.#revision = revision;
        this.#renewedMs = Math.max(this.#renewedMs, askedMs);
        return;
      }
      // The entry moved: our own write with its answer lost, an entry that ran out, or another worker.
      const held = await port.read();
      if (held && (held.record.number !== this.number || held.record.instance !== instance)) {
        throw new FencedError("LEASE_LOST", `another worker holds the lease (number ${held.record.number})`, {
          hint: "nothing to do: that worker has taken over",
        });
      }
      this.#revision = held?.revision ?? 0;
    }
    throw new TransientError("LEASE_UNSTEADY", "the lease's entry changes faster than it can be renewed", {
      hint: "is another program writing to the bucket millrace_leases?",
    });
  }

  /** Gives it back, so that a waiting worker need not wait for the time to live. */
  async release(): Promise<void> {
    await this.#options.port.write({ number: this.number, instance: "" }, this.#revision);
  }
}
