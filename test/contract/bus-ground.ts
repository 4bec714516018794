// What the tests of the bus contract stand on: buses and writers that end with their test, and a reader of streams.

import { afterAll, afterEach } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import type { Writer, WriterListener } from "../../src/bus/source-stream.ts";
import { type SourceId, streamName } from "../../src/event/source-id.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import type { StreamEvent } from "../support/bus/stream-events.ts";
import { positionsOf } from "../support/postgres/transactions.ts";
import type { TestTime } from "../support/virtual-time.ts";
import { waitFor } from "../support/wait-for.ts";
import type { BusServer, BusSettings, StandingWorker } from "./bus-server.ts";

export const quick = { leaseTtlMs: 900, ackTimeoutMs: 2000, pingIntervalMs: 1000 } as const;

export interface BusGround extends TestTime {
  /** One that no other test writes to. */
  freshSource(): SourceId;
  /** @param by opens it, where that is not the plain way */
  bus(settings?: Partial<BusSettings>, by?: BusServer["open"]): Promise<Bus>;
  standing(): Promise<StandingWorker>;
  /** A writer on a bus of its own. */
  writer(source: SourceId, settings?: Partial<BusSettings>, by?: BusServer["open"]): Promise<Writer>;
  writerOn(bus: Bus, source: SourceId, listener?: WriterListener): Promise<Writer>;
  read: BusServer["read"];
  stored(source: SourceId): Promise<readonly StreamEvent[]>;
  /** The same, once it holds so many events. */
  events(source: SourceId, count: number): Promise<readonly StreamEvent[]>;
  /** `waitFor`, by the time of the bus. */
  until<T>(look: () => T | Promise<T>, what: string, timeoutMs?: number): Promise<Exclude<T, undefined | false>>;
}

/** Call it inside of `describe`. */
export function busGround(server: BusServer): BusGround {
  const { time } = server;
  const open: AsyncDisposable[] = [];
  let sources = 0;
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await time.when(Promise.resolve(one[Symbol.asyncDispose]()));
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const withDefaults = (settings: Partial<BusSettings>): BusSettings => ({
    fsync: "always",
    timing: quick,
    log: silentLogger,
    ...settings,
  });
  const bus: BusGround["bus"] = async (settings = {}, by = server.open) => {
    const made = await by(withDefaults(settings));
    open.push(made);
    return made;
  };
  const writerOn: BusGround["writerOn"] = async (on, source, listener) => {
    const writer = await time.when(on.stream(source).openWriter(new AbortController().signal, listener));
    open.push(writer);
    return writer;
  };
  const until: BusGround["until"] = (look, what, timeoutMs) =>
    time.when(waitFor(look, { what, clock: time.clock, ...(timeoutMs === undefined ? {} : { timeoutMs }) }));
  const stored = (source: SourceId): Promise<readonly StreamEvent[]> => server.read(streamName(source));
  return {
    clock: time.clock,
    when: (awaited) => time.when(awaited),
    freshSource: () => `shop_${++sources}` as SourceId,
    bus,
    standing: async () => {
      const worker = await server.openStanding(withDefaults({}));
      open.push(worker.bus);
      return worker;
    },
    writer: async (source, settings, by) => writerOn(await bus(settings, by), source),
    writerOn,
    read: server.read,
    stored,
    events: (source, count) =>
      until(
        async () => {
          const stream = await stored(source);
          return positionsOf(stream).length >= count && stream;
        },
        `${count} events in ${streamName(source)}`,
        30_000,
      ),
    until,
  };
}
