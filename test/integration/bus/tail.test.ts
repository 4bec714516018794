// Reading along with real streams: what is shown, what is not, and that a restarted server does not matter.

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { followStreams } from "../../../src/bus/jetstream/commands/follow-streams.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { toError } from "../../../src/errors.ts";
import type { StoredMessage } from "../../../src/event/parse-event.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

interface Tail {
  readonly seen: StoredMessage[];
  /** Resolves when it has ended, to what it threw. */
  readonly ended: Promise<Error | undefined>;
  stop(): void;
}

describe.skipIf(missing("nats"))("tail", () => {
  async function busWith(...sources: readonly string[]): Promise<{ server: NatsServer; nc: NatsConnection }> {
    const server = await freshNats();
    const nc = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    onTestFinished(() => nc.close());
    const jsm = await jetstreamManager(nc);
    for (const source of sources) {
      await jsm.streams.add({ name: `CDC_${source.toUpperCase()}`, subjects: [`cdc.${source}.>`, `meta.${source}.>`] });
    }
    return { server, nc };
  }

  async function start(server: NatsServer, nc: NatsConnection, filter?: string, last?: number): Promise<Tail> {
    const controller = new AbortController();
    const seen: StoredMessage[] = [];
    const read = async (): Promise<undefined> => {
      const options = { servers: [server.url], filter, last, log: silentLogger, signal: controller.signal };
      for await (const message of followStreams(options)) seen.push(message);
    };
    const ended = read().catch(toError);
    onTestFinished(() => controller.abort());
    // It reads once its consumers are there.
    const jsm = await jetstreamManager(nc);
    const reading = async (): Promise<boolean> => {
      const accounts = await jsm.getAccountInfo();
      return accounts.consumers > 0;
    };
    await Promise.race([ended, waitFor(reading, { what: "the tail's consumers" })]);
    return { seen, ended, stop: () => controller.abort() };
  }

  async function publish(nc: NatsConnection, ...subjects: readonly string[]): Promise<void> {
    for (const subject of subjects) await jetstream(nc).publish(subject, "{}", { timeout: 5000 });
  }

  test("without a filter the events of all sources are shown from now on, and no markers", async () => {
    const { server, nc } = await busWith("shop", "crm");
    await publish(nc, "cdc.shop.public.orders.created.p00");

    const { seen } = await start(server, nc);
    await waitFor(async () => (await (await jetstreamManager(nc)).getAccountInfo()).consumers === 2, { what: "both" });
    await publish(nc, "meta.shop.writer", "cdc.shop.public.orders.updated.p01", "cdc.crm.public.people.created.p02");

    await waitFor(() => seen.length === 2, { what: "two events" });
    expect(seen.map(({ subject }) => subject).sort()).toEqual([
      "cdc.crm.public.people.created.p02",
      "cdc.shop.public.orders.updated.p01",
    ]);
  });

  test.each([
    ["shop", ["cdc.shop.public.orders.created.p00", "cdc.shop.public.orders.deleted.p00"]],
    ["cdc.shop.public.orders.deleted.*", ["cdc.shop.public.orders.deleted.p00"]],
    ["meta.shop.*", ["meta.shop.writer"]],
  ])("the filter %s lets its own through", async (filter, expected) => {
    const { server, nc } = await busWith("shop", "crm");

    const { seen } = await start(server, nc, filter);
    await publish(nc, "cdc.crm.public.people.created.p02", "cdc.shop.public.orders.created.p00", "meta.shop.writer");
    await publish(nc, "cdc.shop.public.orders.deleted.p00");

    await waitFor(() => seen.length === expected.length, { what: "what the filter lets through" });
    expect(seen.map(({ subject }) => subject)).toEqual(expected);
  });

  test.each([
    [2, [5, 7, 8]],
    [1, [7, 8]],
    [100, [1, 3, 5, 7, 8]],
  ])("with --last %i the newest that the filter lets through come first", async (last, expected) => {
    const { server, nc } = await busWith("shop");
    for (let nth = 0; nth < 4; nth++) {
      await publish(
        nc,
        "cdc.shop.public.orders.created.p00",
        nth === 3 ? "cdc.shop.public.a.updated.p00" : "meta.shop.writer",
      );
    }
    const { seen } = await start(server, nc, "shop", last);
    await waitFor(() => seen.length === last || seen.length === 5, { what: "what was there" });

    expect(seen.map(({ sequence }) => sequence)).toEqual(expected.slice(-last));
  });

  test("after a restart of the server it goes on, with nothing left out or shown twice", async () => {
    const { server, nc } = await busWith("shop");
    const { seen } = await start(server, nc, "shop");
    await publish(nc, "cdc.shop.public.orders.created.p00", "cdc.shop.public.orders.created.p01");
    await waitFor(() => seen.length === 2, { what: "what came before" });

    await server.kill();
    await server.restart();
    await waitFor(async () => (await nc.rtt()) >= 0, { what: "the publisher to be connected again" });
    await publish(nc, "cdc.shop.public.orders.created.p02", "cdc.shop.public.orders.created.p03");

    await waitFor(() => seen.length >= 4, { what: "what came after" });
    expect(seen.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
  });

  test("stopping ends it and leaves no consumer behind", async () => {
    const { server, nc } = await busWith("shop");
    const { ended, stop } = await start(server, nc, "shop");

    stop();

    expect(await ended).toBeUndefined();
    const jsm = await jetstreamManager(nc);
    await waitFor(async () => (await jsm.getAccountInfo()).consumers === 0, { what: "no consumer" });
  });

  test("a filter that could never match is refused, and a stream that is not there named", async () => {
    const { server, nc } = await busWith("shop");

    for (const [filter, code] of [
      ["cdc.shop.public.orders.created", "TAIL_FILTER"],
      ["shop.public.*", "TAIL_FILTER"],
      ["cdc.shop.pub*.orders.created.*", "TAIL_FILTER"],
      ["nope", "TAIL_NO_STREAM"],
    ] as const) {
      const { ended } = await start(server, nc, filter);
      expect(await ended).toMatchObject({ name: "ConfigError", code });
    }
  });

  test("ends in peace while it still waits for a bus that is away", async () => {
    const controller = new AbortController();
    const log = { ...silentLogger, warn: () => controller.abort() }; // it says that it waits
    const servers = [`nats://127.0.0.1:${await freePort()}`];
    const seen: StoredMessage[] = [];
    for await (const message of followStreams({ servers, filter: undefined, log, signal: controller.signal }))
      seen.push(message);

    expect(seen).toEqual([]);
  });
});
