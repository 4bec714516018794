// What the bus contract stands on: a real server, buses and writers that end with their test, and a reader of streams.

import { afterEach } from "vitest";
import type { Bus, Writer } from "../../src/bus/bus.ts";
import type { BusTiming } from "../../src/bus/jetstream/jetstream-bus.ts";
import type { Fsync } from "../../src/bus/jetstream/lease/horizon.ts";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import { type SourceId, streamName } from "../../src/event/source-id.ts";
import { type Logger, silentLogger } from "../../src/telemetry/logger.ts";
import { readStream, type StreamEvent } from "../support/bus/stream-events.ts";
import { positionsOf } from "../support/postgres/transactions.ts";
import { freshNats } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

export interface MakeBusOptions {
  readonly url: string;
  readonly fsync: Fsync;
  readonly timing: Partial<BusTiming>;
  readonly log: Logger;
}

export type MakeBus = (options: MakeBusOptions) => Promise<Bus>;

export const quick = { leaseTtlMs: 900, ackTimeoutMs: 2000, pingIntervalMs: 1000 } as const;

const never = new AbortController().signal;

export interface BusGround {
  readonly nats: NatsServer;
  /** One that no other test writes to. */
  freshSource(): SourceId;
  bus(options?: Partial<MakeBusOptions>): Promise<Bus>;
  /** A writer on a bus of its own. */
  writer(source: SourceId, options?: Partial<MakeBusOptions>): Promise<Writer>;
  stored(source: SourceId): Promise<readonly StreamEvent[]>;
  /** The same, once it holds so many events. */
  events(source: SourceId, count: number): Promise<readonly StreamEvent[]>;
}

/** Call it inside of `describe`. */
export async function busGround(makeBus: MakeBus): Promise<BusGround> {
  const nats = await freshNats();
  const open: AsyncDisposable[] = [];
  let sources = 0;
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
  });
  const bus = async (options: Partial<MakeBusOptions> = {}): Promise<Bus> => {
    const made = await makeBus({ url: nats.url, fsync: "always", timing: quick, log: silentLogger, ...options });
    open.push(made);
    return made;
  };
  const stored = (source: SourceId): Promise<readonly StreamEvent[]> => readStream(nats.url, streamName(source));
  return {
    nats,
    freshSource: () => `shop_${++sources}` as SourceId,
    bus,
    writer: async (source, options) => {
      const writer = await (await bus(options)).stream(source).openWriter(never);
      open.push(writer);
      return writer;
    },
    stored,
    events: (source, count) =>
      waitFor(
        async () => {
          const stream = await stored(source);
          return positionsOf(stream).length >= count && stream;
        },
        { what: `${count} events in ${streamName(source)}`, timeoutMs: 30_000 },
      ),
  };
}
