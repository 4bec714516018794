// A source that is supervised, in virtual time: what follows an error of each class, how long is waited, what is shown, and
// what a stop drains.

import { expect, onTestFinished, test } from "vitest";
import type { Order } from "../../../src/backfill/order.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import { BugError, ConfigError, FencedError, HistoryLostError, TransientError } from "../../../src/errors.ts";
import type { Position } from "../../../src/event/position.ts";
import { plainPositions, positionsFrom } from "../../../src/event/positions.ts";
import { type SourceId, streamName } from "../../../src/event/source-id.ts";
import type { RowCopier } from "../../../src/source/capabilities.ts";
import type { Source, SourceMessage } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { noProbe } from "../../../src/worker/probe.ts";
import { SourceTracker } from "../../../src/worker/source-status.ts";
import { superviseSource } from "../../../src/worker/supervise-source.ts";
import { copiedRow, ordersRead } from "../../support/bus/copied-rows.ts";
import { ordersCreated } from "../../support/bus/encoded.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ordered: Order = { backfill: 1, state: "running", by: "a test", at: "2026-01-01T00:00:00Z" };

const shop = "shop" as SourceId;
const hint = "see the test";
const away = (code = "SOURCE_UNREACHABLE"): TransientError => new TransientError(code, "no answer", { hint });

/** What one attempt comes to: an error before it reads, or a reading of so many ms that an error ends. */
type Attempt =
  | Error
  | { readonly chunks?: readonly SourceMessage[][]; readonly lastsMs?: number; readonly error?: Error };

const change = (nth: number): SourceMessage => ({
  type: "change",
  kind: ordersCreated,
  key: `${nth}`,
  lane: "p00",
  transaction: { id: `${nth}`, time: "2026-01-01T00:00:00.000000Z", lineage: undefined },
  position: `000${nth}+` as Position,
  data: Buffer.from("{}"),
});

/** @param script what the n-th attempt, from 0, comes to */
function supervise(script: (nth: number) => Attempt, copier?: RowCopier) {
  const clock = new VirtualClock();
  const server = new MemoryServer(clock);
  const bus = (): MemoryBus => new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
  const log = new RecordedLog();
  const tracker = new SourceTracker({ id: shop, kind: "scripted", counts: createMetrics().source(shop), clock, log });
  const stopping = new AbortController();
  const attempts: number[] = [];
  const steps: string[] = [];
  let now: Exclude<Attempt, Error> = {};
  const source: Source = {
    id: shop,
    async *read({ signal, onStarted }) {
      onStarted?.();
      const { chunks = [], lastsMs = Number.POSITIVE_INFINITY, error } = now;
      for (const chunk of chunks) yield chunk;
      await clock.sleep(lastsMs, signal);
      if (!signal.aborted && error !== undefined) throw error;
    },
    acknowledge: async (positions) => void steps.push(`acknowledged ${plainPositions(positions)}`),
    lag: async () => ({ unsentBytes: 0, unconfirmedBytes: 0, end: positionsFrom("0000+" as Position) }),
    notices: () => [],
    ...(copier ? { copier } : {}),
    [Symbol.asyncDispose]: async () => void steps.push("source closed"),
  };
  const start = (): Promise<void> => {
    const ended = superviseSource({
      tracker,
      stream: bus().stream(shop),
      maxEventBytes: 1024,
      preflight: async () => {
        const next = script(attempts.push(clock.now()) - 1);
        if (next instanceof Error) throw next;
        now = next;
      },
      open: async () => source,
      schemas: server.schemas,
      backfillOrders: { read: async () => ordered, change: async () => ordered },
      deadLetter: async () => {},
      announceGap: async () => {},
      lineageKey: async () => "key",
      adopt: false,
      onGap: "stop",
      probe: noProbe,
      clock,
      log,
      saveEveryMs: 1000,
      lagEveryMs: 15_000,
      signal: stopping.signal,
    });
    ended.catch(() => {});
    onTestFinished(() => stopping.abort());
    return ended;
  };
  const delays = (): number[] => log.of("source_retrying").map(({ delayMs }) => Number(delayMs));
  return { clock, server, bus, log, tracker, stopping, attempts, steps, delays, start };
}

const forEver: Attempt = {};

test.each([
  ["what is away for now", away()],
  ["a lost lease", new FencedError("LEASE_LOST", "another worker took it", { hint })],
])("%s is tried again, until it works", async (_what, error) => {
  const { clock, tracker, start, attempts } = supervise((nth) => (nth < 2 ? error : forEver));

  void start();
  await clock.pass(100);
  const before = tracker.status();
  await clock.pass(2000);

  expect(before).toMatchObject({ state: "retrying", reason: { code: error.code, message: error.message } });
  expect(tracker.status()).toMatchObject({ state: "running", retried: 2 });
  expect(tracker.status().reason).toBeUndefined();
  expect(attempts).toHaveLength(3);
});

test.each([
  ["a wrong set-up at the first start", new ConfigError("NO_SLOT", "no slot", { hint }), { bugs: 0, code: "NO_SLOT" }],
  ["lost history", new HistoryLostError("SLOT_LOST", "gone", { hint }), { bugs: 0, code: "SLOT_LOST" }],
  ["a bug of ours", new BugError("WRONG_TURN", "no"), { bugs: 1, code: "WRONG_TURN" }],
  ["what a library throws", new TypeError("x is undefined"), { bugs: 1, code: "UNEXPECTED" }],
])("%s ends it, and is shown", async (_what, error, { bugs, code }) => {
  const { clock, tracker, start, attempts } = supervise(() => error);

  const ended = start();
  await clock.pass(60_000);

  await expect(ended).rejects.toBe(error);
  expect(tracker.status()).toMatchObject({ state: "stopped", reason: { code }, retried: 0, bugs });
  expect([attempts, tracker.ownsLog]).toEqual([[0], false]);
});

test("a wrong set-up is waited out once the source has worked in this process", async () => {
  const wrong = new ConfigError("PUBLICATION_MISSING", "gone", { hint });
  const { clock, tracker, start } = supervise((nth) =>
    nth === 0 ? { lastsMs: 500, error: wrong } : nth < 4 ? wrong : forEver,
  );

  void start();
  await clock.pass(30_000);

  expect(tracker.status()).toMatchObject({ state: "running", retried: 4 });
});

test("the pauses double up to half a minute, each as long as is told, and one reason is warned of once", async () => {
  const { clock, log, start, attempts, delays } = supervise(() => away());

  void start();
  await clock.pass(10 * 60_000);

  const pauses = attempts.slice(1).map((at, nth) => at - (attempts[nth] ?? 0));
  expect(pauses).toEqual(delays().slice(0, pauses.length));
  for (const [nth, pause] of pauses.entries()) {
    expect(pause).toBeGreaterThanOrEqual(Math.min(15_000, 250 * 2 ** nth));
    expect(pause).toBeLessThanOrEqual(Math.min(30_000, 250 * 2 ** (nth + 1)));
  }
  expect(pauses.length).toBeGreaterThan(20);
  const levels = log.lines.filter(({ event }) => event === "source_retrying").map(({ level }) => level);
  expect([levels[0], new Set(levels.slice(1))]).toEqual(["warn", new Set(["debug"])]);
});

test.each([
  ["begin anew behind one that has run for more than ten seconds", 10_001, 500],
  ["go on behind one that broke at once", 9_000, 16_000],
])("the pauses %s", async (_what, lastsMs, longest) => {
  const { clock, start, delays } = supervise((nth) => (nth === 5 ? { lastsMs, error: away("SOURCE_GONE") } : away()));

  void start();
  await clock.pass(60_000);

  expect(delays()[4]).toBeGreaterThanOrEqual(4000);
  expect(delays()[5]).toBeLessThanOrEqual(longest);
  expect(delays()[5]).toBeGreaterThanOrEqual(longest / 2);
});

test("it waits for the bus, then for the lease, which makes the log its own, and then it runs", async () => {
  const { clock, bus, tracker, start } = supervise(() => forEver);
  const held = await bus().stream(shop).openWriter(new AbortController().signal);
  const seen = [tracker.status()];

  void start();
  await clock.pass(5000);
  seen.push(tracker.status());
  const owned = tracker.ownsLog;
  await held[Symbol.asyncDispose]();
  await clock.pass(5000);
  seen.push(tracker.status());

  expect(seen.map(({ state, reason }) => [state, reason?.code])).toEqual([
    ["starting", "BUS_DISCONNECTED"],
    ["waiting-for-lease", "LEASE_ELSEWHERE"],
    ["running", undefined],
  ]);
  expect([owned, seen[2]?.lease]).toEqual([true, 2]);
});

test("one that failed is shown as retrying until it runs, one that stood still until it moves", async () => {
  const stuck = { lastsMs: 1000, error: away("SOURCE_STUCK") };
  const { clock, tracker, start } = supervise((nth) =>
    nth === 0 ? stuck : { lastsMs: 60_000, chunks: [], error: away("SOURCE_STUCK") },
  );
  void start();
  await clock.pass(10_000);
  expect(tracker.status()).toMatchObject({ state: "retrying", reason: { code: "SOURCE_STUCK" } });

  tracker.read(1, positionsFrom("0009+" as Position));

  expect(tracker.status()).toMatchObject({ state: "running", read: 1 });
  expect(tracker.status().reason).toBeUndefined();
});

test("what is stored is counted, saved and acknowledged, in this order", async () => {
  const { clock, tracker, server, start, steps } = supervise(() => ({ chunks: [[change(1), change(2)]] }));

  void start();
  await clock.pass(5000);

  const counts = { read: 2, published: 2, transactions: 2, acknowledged: 1, position: "0002+" };
  expect(tracker.status()).toMatchObject({ ...counts, unsavedMs: 0, lagSeconds: 0 });
  expect(steps).toEqual(["acknowledged 0002+"]);
  expect(server.streams.get(streamName(shop))?.messages.map(({ subject }) => subject)).toEqual([
    "meta.shop.writer",
    "cdc.shop.public.orders.created.p00",
    "cdc.shop.public.orders.created.p00",
  ]);
});

test("rows of a backfill are stored beside the events, and the next attempt goes on behind them", async () => {
  const asked: unknown[] = [];
  const copier: RowCopier = {
    targets: async () => [{ id: "16384", namespace: "public", collection: "orders" }],
    readSlice: async ({ after }) => {
      asked.push(after);
      const row = Number(after?.row ?? 0) + 1;
      if (row === 2 && asked.length < 3) throw away();
      return {
        ...{ rows: [copiedRow(`${row}`)], after: () => ({ row }), isLast: row === 2, version: ordersRead.version },
        ...{ notBefore: positionsFrom("0001+" as Position), includes: () => true },
      };
    },
  };
  const { clock, server, start } = supervise(
    (nth) => (nth === 0 ? { chunks: [[change(1)]], lastsMs: 400, error: away() } : forEver), // before the copy tries again
    copier,
  );

  void start();
  await clock.pass(5000);

  expect(asked).toEqual([undefined, { row: 1 }, { row: 1 }]);
  expect(server.streams.get(streamName(shop))?.messages.map(({ subject }) => subject)).toEqual([
    ...["meta.shop.writer", "cdc.shop.public.orders.created.p00", "meta.shop.backfill"],
    ...["cdc.shop.public.orders.read.p03", "meta.shop.backfill", "meta.shop.writer"],
    ...["cdc.shop.public.orders.read.p03", "meta.shop.backfill", "meta.shop.backfill"],
  ]);
});

test("at a stop what was read is stored, the source is let go, and the lease is free at once", async () => {
  const { clock, bus, server, tracker, stopping, steps, start } = supervise(() => ({ chunks: [[change(1)]] }));
  const ended = start();
  await clock.pass(0);

  stopping.abort();
  await clock.pass(100);
  await ended;

  expect(server.streams.get(streamName(shop))?.messages).toHaveLength(2);
  expect(steps.at(-1)).toBe("source closed");
  expect(tracker.status()).toMatchObject({ state: "stopped", published: 1 });
  expect((await bus().stream(shop).openWriter(new AbortController().signal)).lease).toBe(2);
});

test("a stop with an error of ours ends it by that error", async () => {
  const { clock, tracker, stopping, start } = supervise(() => forEver);
  const full = new HistoryLostError("SLOT_FULL", "too much", { hint });
  const ended = start();
  await clock.pass(1000);

  stopping.abort(full);
  await clock.pass(1000);

  await expect(ended).rejects.toBe(full);
  expect(tracker.status()).toMatchObject({ state: "stopped", reason: { code: "SLOT_FULL" } });
});

test("a stop ends a pause at once", async () => {
  const { clock, stopping, start, attempts } = supervise(() => away());
  const ended = start();
  await clock.pass(0);

  stopping.abort();
  await ended;

  expect([attempts, clock.now()]).toEqual([[0], 0]);
});

test("what its writer had to find out again is told for a quarter of an hour, and counted for ever", () => {
  const { clock, tracker } = supervise(() => forEver);
  const shown = (): unknown => [
    tracker.status().recentRecoveries,
    (tracker.status() as { recovered?: number }).recovered,
  ];
  for (const minutes of [0, 10]) {
    clock.advance(minutes * 60_000);
    tracker.recovered();
  }
  const both = shown();
  clock.advance(6 * 60_000);

  expect([both, shown()]).toEqual([
    [2, 2],
    [1, 2],
  ]);
});
