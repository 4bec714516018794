// A worker that is killed at each step that it takes, over a source that says where its log begins and what it has lost.
// Whatever the step, the next worker leaves a stream that tells of each once, and nothing is on the source's record any more.
// docs/decisions/0015 has the argument.

import { expect, test } from "vitest";
import { ordersOf } from "../../../src/backfill/order.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import type { Position } from "../../../src/event/position.ts";
import { positionsFrom } from "../../../src/event/positions.ts";
import { type SourceId, streamName, systemId } from "../../../src/event/source-id.ts";
import { gapEvent } from "../../../src/event/system-event.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { SourceTracker } from "../../../src/worker/source-status.ts";
import { superviseSource } from "../../../src/worker/supervise-source.ts";
import { LossySource } from "../../support/bus/lossy-source.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const shop = "shop" as SourceId;
/** More than a lease lasts that nobody gives back, and the source's transactions take. */
const LONG_MS = 10_000;

interface World {
  readonly clock: VirtualClock;
  readonly server: MemoryServer;
  readonly source: LossySource;
}

/** Runs a worker and kills it at its nth step, from 0. */
async function run({ clock, server, source }: World, killedAt: number): Promise<void> {
  const bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
  const stopping = new AbortController();
  const counts = createMetrics().source(shop);
  let steps = 0;
  const step = (): void => {
    if (steps++ === killedAt) {
      void bus[Symbol.asyncDispose]();
      stopping.abort();
    }
    if (steps > killedAt) throw new Error("killed");
  };
  const reader = {
    id: shop,
    read: (options: Parameters<LossySource["read"]>[0] & { readonly onStarted?: () => void }) => {
      options.onStarted?.();
      return source.read(options);
    },
    recorded: async (id: string) => {
      step();
      await source.recorded(id);
      step();
    },
    acknowledge: async () => step(),
    lag: async () => ({ unsentBytes: 0, unconfirmedBytes: 0, end: positionsFrom("0000+" as Position) }),
    notices: () => [],
    [Symbol.asyncDispose]: async () => {},
  };
  const ended = superviseSource({
    tracker: new SourceTracker({ id: shop, kind: "scripted", counts, clock, log: silentLogger }),
    stream: bus.stream(shop),
    maxEventBytes: 1024,
    preflight: async () => {},
    open: async () => reader,
    schemas: bus.schemas,
    backfillOrders: ordersOf(bus.state, shop),
    deadLetter: async () => {},
    announceGap: async (gap) => {
      step();
      await bus.publish(gapEvent(shop, gap));
      step();
    },
    lineageKey: async () => "key",
    adopt: false,
    onGap: "stop",
    probe: step,
    clock,
    log: silentLogger,
    saveEveryMs: 300,
    lagEveryMs: 15_000,
    signal: stopping.signal,
  }).catch(() => {});
  await clock.pass(LONG_MS);
  stopping.abort();
  await clock.pass(LONG_MS);
  await ended;
}

test.each([
  ["without partitions", []],
  ["with two partitions", ["a", "b"]],
])("of a source %s: killed at any step, each gap is told, and stands in the stream once", async (_, partitions) => {
  // Until two are killed behind the last step that matters.
  for (let nth = 0, done = 0; done < 2; nth++) {
    const clock = new VirtualClock();
    const world = { clock, server: new MemoryServer(clock), source: new LossySource(clock, partitions) };
    const { source, server } = world;
    const lost = [source.lose("public.first"), source.lose("public.second")];

    await run(world, nth);
    if (source.lost.length === 0) done++;
    await run(world, Number.POSITIVE_INFINITY);

    const what = `killed at step ${nth}`;
    const stream = server.streams.get(streamName(shop))?.messages ?? [];
    const about = stream.filter(({ subject }) => subject !== "meta.shop.writer");
    const begun = about.filter(({ subject }) => subject === "meta.shop.history");
    expect(begun.map((message) => message.header("Cdc-Part")).sort(), what).toEqual([...source.partitions].sort());
    for (const history of begun) {
      const gap = about[about.indexOf(history) - 1];
      expect([gap?.subject, gap?.header("Cdc-Pos")], what).toEqual(["meta.shop.gap", history.header("Cdc-Pos")]);
      expect(gap?.seq, what).toBe(history.seq - 1); // no writer's marker between them: they were stored together
    }
    const gaps = about.filter(({ subject }) => subject === "meta.shop.gap").map((message) => message.header("ce-id"));
    expect(gaps.slice(source.partitions.length), what).toEqual(lost);
    expect(gaps, what).toHaveLength(source.partitions.length + lost.length);
    const told = server.streams
      .get(streamName(systemId))
      ?.messages.map(({ data }) => JSON.parse(Buffer.from(data).toString()));
    const behind = told?.filter(({ collections }) => collections === undefined).map(({ upTo }) => upTo);
    const tables = told?.flatMap(({ collections = [] }) => collections);
    expect([new Set(behind).size, new Set(tables).size], what).toEqual([source.partitions.length, lost.length]);
    expect(source.lost, what).toEqual([]);
    const changes = about.filter(({ subject }) => subject.startsWith("cdc.")).map((one) => one.header("Cdc-Pos"));
    expect(changes, what).toEqual(source.changes.map(({ position }) => position));
  }
});
