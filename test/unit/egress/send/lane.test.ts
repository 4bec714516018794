import { expect, test } from "vitest";
import { isWaiting } from "../../../../src/automation/outcome/waiting.ts";
import { realClock } from "../../../../src/clock.ts";
import { Lane } from "../../../../src/egress/send/lane.ts";

const signal = new AbortController().signal;

/** A lane by a clock that stands at what the test says, and sleeps for no time. */
function laneOf(options: {
  readonly concurrency?: number;
  readonly rate?: { readonly limit: number; readonly per: number };
}) {
  const time = { now: 0 };
  const sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  const clock = {
    ...realClock,
    now: () => time.now,
    sleep: (ms: number, stop?: AbortSignal) =>
      new Promise<void>((wake) => {
        sleepers.push({ at: time.now + ms, wake });
        stop?.addEventListener("abort", () => wake());
      }),
  };
  const pass = async (ms: number): Promise<void> => {
    time.now += ms;
    for (const sleeper of sleepers.splice(0)) {
      if (sleeper.at <= time.now) sleeper.wake();
      else sleepers.push(sleeper);
    }
    for (let turns = 0; turns < 10; turns++) await Promise.resolve();
  };
  return { lane: new Lane({ endpoint: "crm", concurrency: 10, rate: undefined, clock, ...options }), pass };
}

test("so many at once, and the others in order as places come free", async () => {
  const { lane, pass } = laneOf({ concurrency: 2 });
  const begun: number[] = [];
  const leaves: (() => void)[] = [];
  for (const nth of [1, 2, 3, 4]) {
    void lane.enter(signal, 1000).then((leave) => {
      begun.push(nth);
      leaves.push(leave);
    });
  }
  await pass(0);
  expect(begun).toEqual([1, 2]);
  leaves[0]?.();
  leaves[0]?.(); // a place is given back once
  await pass(0);
  expect(begun).toEqual([1, 2, 3]);
  leaves[1]?.();
  await pass(0);
  expect(begun).toEqual([1, 2, 3, 4]);
});

test("never more than the limit in any such time", async () => {
  const { lane, pass } = laneOf({ concurrency: 100, rate: { limit: 3, per: 1000 } });
  const begun: number[] = [];
  let now = 0;
  for (let nth = 0; nth < 12; nth++) void lane.enter(signal, 60_000).then(() => begun.push(now));
  for (; now <= 5000; now += 50) await pass(now === 0 ? 0 : 50);
  expect(begun).toHaveLength(12);
  for (let nth = 3; nth < begun.length; nth++)
    expect((begun[nth] ?? 0) - (begun[nth - 3] ?? 0)).toBeGreaterThanOrEqual(1000);
});

test("what would have to wait for longer than it has patience is told when to come back", async () => {
  const { lane } = laneOf({ rate: { limit: 1, per: 60_000 } });
  await lane.enter(signal, 100);
  const thrown: unknown = await lane.enter(signal, 100).catch((error: unknown) => error);
  expect(isWaiting(thrown)).toBe(true);
  expect(thrown).toMatchObject({ afterMs: 60_000, unavailable: "a turn at the endpoint crm" });
});

test("nothing begins while the endpoint has asked to be left alone", async () => {
  const { lane, pass } = laneOf({});
  lane.hold(500);
  let began = false;
  void lane.enter(signal, 1000).then(() => {
    began = true;
  });
  await pass(400);
  expect(began).toBe(false);
  await pass(200);
  expect(began).toBe(true);
});

test("an attempt that is over waits no longer", async () => {
  const { lane } = laneOf({ concurrency: 1 });
  await lane.enter(signal, 1000);
  const over = new AbortController();
  const entering = lane.enter(over.signal, 1000).catch((error: unknown) => error);
  over.abort(new Error("its time is over"));
  expect(await entering).toMatchObject({ message: "its time is over" });
});
