// The contract's bus on a real nats-server.

import type { Bus } from "../../src/bus/bus.ts";
import { openJetStreamBus } from "../../src/bus/jetstream/jetstream-bus.ts";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { freshNats } from "../support/servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { realTime } from "../support/virtual-time.ts";
import type { BusServer, BusSettings } from "./bus-server.ts";

const never = new AbortController().signal;

export function jetStreamAt(url: string, settings: BusSettings): Promise<Bus> {
  return openJetStreamBus({ servers: [url], replicas: 1, signal: never, ...settings });
}

export async function jetStreamServer(): Promise<BusServer & { readonly nats: NatsServer }> {
  const nats = await freshNats();
  const proxies: TcpProxy[] = [];
  return {
    nats,
    time: realTime,
    open: (settings) => jetStreamAt(nats.url, settings),
    openStanding: async (settings) => {
      const proxy = await TcpProxy.start(nats.port);
      proxies.push(proxy);
      const bus = await jetStreamAt(proxy.url(nats.url), settings);
      return { bus, standStill: () => proxy.blackHole(), goOn: () => proxy.heal() };
    },
    read: (stream) => readStream(nats.url, stream),
    [Symbol.asyncDispose]: async () => {
      for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
    },
  };
}
