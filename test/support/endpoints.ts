// Endpoints without a bus behind them, as a worker carries what is sent to them.

import { Registry } from "prom-client";
import type { Sending } from "../../src/automation/outcome/sending.ts";
import { MemoryBus } from "../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../src/bus/memory/memory-server.ts";
import { realClock } from "../../src/clock.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { openEndpoints } from "../../src/egress/open-endpoints.ts";
import type { WorkerEvent } from "../../src/event/worker-event.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";

/** Disposing of it closes them. */
export async function openedEndpoints(endpoints: object, environment: NodeJS.ProcessEnv = {}) {
  const config = resolveConfig({ sources: {}, endpoints }, new Map(), environment);
  const bus = new MemoryBus({
    server: new MemoryServer(realClock),
    clock: realClock,
    fsync: "always",
    log: silentLogger,
  });
  const stopping = new AbortController();
  const parts = { bus, clock: realClock, log: silentLogger, registry: new Registry(), signal: stopping.signal };
  const open = openEndpoints({ endpoints: config.endpoints, ...parts });
  const published: WorkerEvent[] = [];
  const send = (endpoint: string, message: unknown): Promise<void> =>
    open.send({
      ...{ endpoint, message, automation: "a", key: "e-1", run: undefined, timeoutMs: 10_000 },
      event: { id: "e-1", type: "order.created", time: "2026-01-31T12:00:00Z" } as Sending["event"],
      publish: async (event) => void published.push(event),
      signal: new AbortController().signal,
    });
  return {
    send,
    published,
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await open.close();
      await bus[Symbol.asyncDispose]();
    },
  };
}
