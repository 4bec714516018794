// When what is stored counts as durable: only time that the server is known to have lived through brings it nearer.

import { expect, test } from "vitest";
import { Horizon } from "../../../src/bus/jetstream/lease/horizon.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const fsyncMs = 8000;

class Ground {
  readonly clock = new VirtualClock();
  readonly horizon: Horizon<string>;

  constructor(fsync: number | "always" = fsyncMs) {
    this.horizon = new Horizon<string>(fsync, this.clock);
  }

  /** A ping that is answered after so long. */
  ping(answeredAfterMs = 0): void {
    const answered = this.horizon.ping();
    this.clock.advance(answeredAfterMs);
    answered();
  }

  /** Pings every second for so long. */
  live(ms: number): void {
    for (let passed = 0; passed < ms; passed += 1000) {
      this.clock.advance(1000);
      this.ping();
    }
  }
}

test("a server that syncs always keeps what it stores, and needs no ping", () => {
  const { horizon } = new Ground("always");
  horizon.add("a");

  expect([horizon.pingEveryMs, horizon.take(), horizon.take()]).toEqual([undefined, "a", undefined]);
});

test("what is stored is durable twice the sync interval after the first ping behind it, and not before", () => {
  const ground = new Ground();
  ground.live(3000);
  ground.horizon.add("a");
  ground.live(1000 + 2 * fsyncMs - 1000);
  expect(ground.horizon.take()).toBeUndefined();
  ground.live(1000);

  expect(ground.horizon.take()).toBe("a");
});

test("time between pings further apart than half the interval does not count: the server may have stood still", () => {
  const ground = new Ground();
  ground.horizon.add("a");
  ground.ping();
  for (let n = 0; n < 10; n++) {
    ground.clock.advance(fsyncMs / 2 + 1);
    ground.ping();
  }
  expect(ground.horizon.take()).toBeUndefined();
  ground.live(2 * fsyncMs);

  expect(ground.horizon.take()).toBe("a");
});

test("a ping that is answered late counts from its answer, and only what was stored when it was sent", () => {
  const ground = new Ground();
  ground.horizon.add("a");
  const answered = ground.horizon.ping();
  ground.horizon.add("b");
  answered();
  ground.live(2 * fsyncMs);

  expect(ground.horizon.take()).toBe("a");
  ground.live(1000);
  expect(ground.horizon.take()).toBe("b");
});

test("what is forgotten comes back only when it is added again, and no ping from before speaks for it", () => {
  const ground = new Ground();
  ground.horizon.add("a");
  ground.live(2 * fsyncMs);
  const answered = ground.horizon.ping();
  ground.horizon.clear();
  expect([ground.horizon.take(), ground.horizon.waiting.marks]).toEqual([undefined, 0]);
  ground.horizon.add("b");
  answered();
  ground.live(2 * fsyncMs);
  expect(ground.horizon.take()).toBeUndefined();
  ground.live(1000);

  expect(ground.horizon.take()).toBe("b");
});

test("between two pings only the newest waits", () => {
  const ground = new Ground();
  for (const value of ["a", "b", "c"]) ground.horizon.add(value);
  ground.ping();
  ground.horizon.add("d");

  expect(ground.horizon.waiting.marks).toBe(2);
  ground.live(2 * fsyncMs + 1000);
  expect(ground.horizon.take()).toBe("d");
});

test("an interval too short to be bracketed by pings counts as a longer one", () => {
  const { clock, horizon } = new Ground(10);
  horizon.add("a");
  const everyMs = horizon.pingEveryMs ?? 0;
  for (let passed = 0; passed <= 800 + everyMs; passed += everyMs) {
    horizon.ping()();
    clock.advance(everyMs);
  }

  expect([everyMs, horizon.take()]).toEqual([50, "a"]);
});
