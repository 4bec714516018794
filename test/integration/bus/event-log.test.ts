// What the bus knows of its event log behind a break: whether what it had acknowledged still stands, and what was under way.

import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Bus, LogRecord } from "../../../src/bus/bus.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { waitFor } from "../../support/wait-for.ts";

let nats: NatsServer;
const stored = (): string => join(nats.dataDir, "jetstream", "$G", "streams", "MILLRACE_LOG");

async function openBus(url: string): Promise<Bus> {
  const { signal } = new AbortController();
  const bus = await openJetStreamBus({ servers: [url], replicas: 1, fsync: "always", log: silentLogger, signal });
  onTestFinished(() => bus[Symbol.asyncDispose]());
  return bus;
}

/** Records again until the bus takes it, as its users do. */
async function recorded(bus: Bus, records: readonly LogRecord[]): Promise<number> {
  let losses: number | undefined;
  await waitFor(
    async () => {
      losses = await bus.record(records).catch(() => undefined);
      return losses !== undefined;
    },
    { what: "it to be recorded" },
  );
  return losses ?? Number.NaN;
}

const record = (what: string): LogRecord => ({ subject: "log.mail.dead", data: Buffer.from(what) });

async function standing(): Promise<readonly string[]> {
  return (await readStream(nats.url, "MILLRACE_LOG")).map(({ text }) => text);
}

/** The server is killed, its store is changed, and it comes back. */
async function killed(bus: Bus, change: () => Promise<void> = async () => {}): Promise<void> {
  const before = bus.interruptions();
  await nats.kill();
  await change();
  await nats.restart();
  await waitFor(() => bus.connected() && bus.interruptions() > before, { what: "the bus to be back" });
}

describe.skipIf(missing("nats"))("the event log", () => {
  beforeAll(async () => {
    nats = await freshNats();
  });

  test("has lost nothing behind a restart that it outlived", async () => {
    const bus = await openBus(nats.url);
    const losses = await recorded(bus, [record("a1"), record("a2")]);
    await killed(bus);
    expect(await bus.logLosses()).toBe(losses);
    expect(await recorded(bus, [record("a3")])).toBe(losses);
    expect(await standing()).toEqual(["a1", "a2", "a3"]);
  });

  test("is missed when it is gone, once for each time", async () => {
    const bus = await openBus(nats.url);
    const losses = await recorded(bus, [record("b1")]);
    await killed(bus, () => rm(stored(), { recursive: true }));
    expect(await bus.logLosses()).toBe(losses + 1);
    expect(await recorded(bus, [record("b2")])).toBe(losses + 1);
    await killed(bus);
    expect(await bus.logLosses()).toBe(losses + 1);
  });

  test("has lost what stood behind the point that it was set back to, also where another worker has that number by now", async () => {
    const [bus, other] = [await openBus(nats.url), await openBus(nats.url)];
    const losses = await recorded(bus, [record("c1")]);
    const copy = `${nats.dataDir}.copy`;
    await killed(bus, () => cp(stored(), copy, { recursive: true }));
    expect(await recorded(bus, [record("c2")])).toBe(losses);
    await killed(bus, async () => {
      await rm(stored(), { recursive: true });
      await cp(copy, stored(), { recursive: true });
    });
    await recorded(other, [record("of the other")]);
    expect((await standing()).slice(-2)).toEqual(["c1", "of the other"]);
    expect(await bus.logLosses()).toBe(losses + 1);
    await rm(copy, { recursive: true });
  });

  test("has lost what somebody deleted while nobody was away", async () => {
    const bus = await openBus(nats.url);
    const losses = await recorded(bus, [record("d1")]);
    const nc = await connect({ servers: nats.url });
    await nc.request("$JS.API.STREAM.DELETE.MILLRACE_LOG");
    await nc.close();
    expect(await recorded(bus, [record("d2")])).toBe(losses + 1);
    expect(await standing()).toEqual(["d2"]);
  });

  test("takes a record once more where the one that the server knows by its id is gone", async () => {
    const [bus, other] = [await openBus(nats.url), await openBus(nats.url)];
    const losses = await recorded(bus, [{ ...record("f1"), id: "f" }]);
    const nc = await connect({ servers: nats.url });
    const jsm = await jetstreamManager(nc);
    const { state } = await jsm.streams.info("MILLRACE_LOG");
    await jsm.streams.deleteMessage("MILLRACE_LOG", state.last_seq, true);
    await nc.close();
    expect(await recorded(other, [{ ...record("f2"), id: "f" }])).toBe(losses);
    expect((await standing()).slice(-1)).toEqual(["f2"]);
  });

  test("has lost what stood only as the record of another worker, where that one is lost", async () => {
    const [bus, other] = [await openBus(nats.url), await openBus(nats.url)];
    const losses = await recorded(bus, [record("g1")]);
    const copy = `${nats.dataDir}.before`;
    await killed(bus, () => cp(stored(), copy, { recursive: true }));
    await recorded(other, [{ ...record("g2"), id: "g" }]);
    expect(await recorded(bus, [{ ...record("g2 once more"), id: "g" }])).toBe(losses);
    await killed(bus, async () => {
      await rm(stored(), { recursive: true });
      await cp(copy, stored(), { recursive: true });
    });
    expect((await standing()).at(-1)).toBe("g1");
    expect(await bus.logLosses()).toBe(losses + 1);
    await rm(copy, { recursive: true });
  });

  test("takes what was under way when the connection broke once, whether it had come through or not", async () => {
    await using proxy = await TcpProxy.start(nats.port);
    const bus = await openBus(proxy.url(nats.url));
    await recorded(bus, [record("e1")]);
    for (const direction of ["down", "up"] as const) {
      const sent = [record(`e ${direction}`)];
      proxy.blackHole(direction);
      const first = bus.record(sent).then(
        () => "acknowledged",
        () => "not acknowledged",
      );
      if (direction === "down") {
        const came = async (): Promise<boolean> => (await standing()).includes("e down");
        await waitFor(came, { what: "the record to come through" });
      }
      proxy.forget();
      proxy.cut();
      await proxy.heal();
      expect(await first).toBe("not acknowledged");
      await recorded(bus, sent);
    }
    expect((await standing()).slice(-3)).toEqual(["e1", "e down", "e up"]);
  });

  test("asks once for each subject what came through of all that was under way when the connection broke", async () => {
    await using proxy = await TcpProxy.start(nats.port);
    const bus = await openBus(proxy.url(nats.url));
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    let asked = 0;
    nc.subscribe("$JS.API.STREAM.MSG.GET.MILLRACE_LOG", {
      callback: () => {
        asked++;
      },
    });
    await nc.flush();
    await recorded(bus, [record("h0")]);
    const sent = Array.from({ length: 30 }, (_, nth) => ({
      ...record(`h${nth + 1}`),
      subject: `log.mail.h${nth % 2}`,
    }));
    proxy.blackHole("up");
    const first = bus.record(sent).catch(() => "not acknowledged");
    proxy.forget();
    proxy.cut();
    await proxy.heal();
    expect(await first).toBe("not acknowledged");
    await recorded(bus, sent);
    await nc.flush();
    expect(asked).toBeLessThan(sent.length / 2); // each try asks for both, and for what was acknowledged last
    expect((await standing()).slice(-30)).toEqual(sent.map(({ data }) => Buffer.from(data).toString()));
  });
});
