// A lease is kept while a start is under way, however long that takes.

import { expect, test } from "vitest";
import { Lease, type LeaseOptions, type LeasePort, type LeaseRecord } from "../../../src/bus/jetstream/lease/lease.ts";
import { underLease } from "../../../src/bus/jetstream/lease/upkeep.ts";
import { FencedError, TransientError } from "../../../src/errors.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ttlMs = 3000;
const { signal } = new AbortController();

class Bucket implements LeasePort {
  entry: { record: LeaseRecord; revision: number } | undefined;
  away = false;

  async read(): Promise<{ record: LeaseRecord; revision: number } | undefined> {
    return this.entry;
  }

  async write(record: LeaseRecord, revision: number): Promise<number | undefined> {
    if (this.away) throw new TransientError("BUS_INTERRUPTED", "away");
    if ((this.entry?.revision ?? 0) !== revision) return undefined;
    this.entry = { record, revision: revision + 1 };
    return revision + 1;
  }
}

const bucket = (): { port: Bucket; clock: VirtualClock; of: (instance: string) => LeaseOptions } => {
  const [port, clock] = [new Bucket(), new VirtualClock()];
  const of = (instance: string): LeaseOptions => ({
    port,
    clock,
    instance,
    ttlMs,
    newestUsed: async () => 0,
    onWaiting: () => {},
  });
  return { port, clock, of };
};

test("a worker that takes long to start keeps its lease, and the one that waits goes on waiting", async () => {
  const { clock, of } = bucket();
  const lease = await Lease.acquire(of("w1"), signal);
  let taken = false;
  void Lease.acquire(of("w2"), signal).then(() => {
    taken = true;
  });
  const started = await underLease({ lease, clock, signal }, async () => {
    await clock.pass(10 * ttlMs);
    return "started";
  });

  expect([started, taken, lease.unconfirmedMs < ttlMs]).toEqual(["started", false, true]);
  await clock.pass(2 * ttlMs);
  expect(taken).toBe(true);
});

test("a start whose lease another one took is told so, though the bus was away in between", async () => {
  const { port, clock, of } = bucket();
  const lease = await Lease.acquire(of("w1"), signal);
  const starting = underLease({ lease, clock, signal }, async (held) => {
    port.away = true;
    await clock.pass(2 * ttlMs);
    expect(held.aborted).toBe(false);
    port.away = false;
    port.entry = { record: { number: 2, instance: "w2" }, revision: 9 };
    await clock.pass(ttlMs);
    held.throwIfAborted();
  });

  await expect(starting).rejects.toBeInstanceOf(FencedError);
});

test("a start ends with the worker", async () => {
  const { clock, of } = bucket();
  const lease = await Lease.acquire(of("w1"), signal);
  const stop = new AbortController();
  const starting = underLease({ lease, clock, signal: stop.signal }, async (held) => {
    stop.abort(new Error("stopped"));
    held.throwIfAborted();
  });

  await expect(starting).rejects.toThrow("stopped");
});
