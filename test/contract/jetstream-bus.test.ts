// The bus on a real nats-server: the contract, and what JetStream alone can have wrong.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";
import { afterAll, describe, expect, test } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { bareNats, startBareNats } from "../support/bus/bare-nats.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { place, reached, transaction } from "../support/postgres/transactions.ts";
import { freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";
import { busContract } from "./bus-contract.ts";
import { jetStreamAt, jetStreamServer } from "./jetstream-server.ts";

const shop = "shop" as SourceId;
const never = new AbortController().signal;
const skip = missing("nats");

describe.skipIf(skip)("the contract of the bus, on JetStream,", async () => {
  if (!skip) busContract(await jetStreamServer());
});

describe.skipIf(skip)("on JetStream", () => {
  const buses: Bus[] = [];
  const open = async (url: string): Promise<Bus> => {
    const bus = await jetStreamAt(url, { fsync: "always", timing: {}, log: silentLogger });
    buses.push(bus);
    return bus;
  };
  const manage = async <T>(
    url: string,
    use: (jsm: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>,
  ): Promise<T> => {
    const nc = await connect({ servers: url });
    try {
      return await use(await jetstreamManager(nc));
    } finally {
      await nc.close();
    }
  };
  const streams = (url: string): Promise<readonly string[]> => manage(url, (jsm) => jsm.streams.names().next());

  afterAll(async () => {
    for (const bus of buses) await bus[Symbol.asyncDispose]();
  });

  test("a fresh stream keeps what it holds, in whole batches, for a week", async () => {
    const { url } = await freshNats();
    await using _ = await (await open(url)).stream(shop).openWriter(never);
    const { config } = await manage(url, (jsm) => jsm.streams.info("CDC_SHOP"));

    expect(config).toMatchObject({
      subjects: ["cdc.shop.>", "events.shop.>", "meta.shop.>"],
      retention: "limits",
      storage: "file",
      discard: "old",
      num_replicas: 1,
      max_age: 7 * 24 * 3600 * 1e9,
      max_bytes: -1,
      allow_atomic: true,
      allow_direct: true,
      deny_delete: false,
      deny_purge: true,
    });
  });

  test("a fresh stream takes a share of what the account may store", async () => {
    const { url } = await freshNats({
      config: "accounts { A { jetstream { max_file: 100MB }, users: [{ user: a, password: a }] } }\nno_auth_user: a",
    });
    await using _ = await (await open(url)).stream(shop).openWriter(never);
    const { config } = await manage(url, (jsm) => jsm.streams.info("CDC_SHOP"));

    expect(config.max_bytes).toBeGreaterThan(50_000_000);
    expect(config.max_bytes).toBeLessThan(100_000_000);
  });

  test("a bus that is only opened changes nothing on the server", async () => {
    const { url } = await freshNats();
    const bus = await open(url);

    expect(await bus.stream(shop).loadMemory()).toBeUndefined();
    expect(await streams(url)).toEqual([]);
  });

  test("a stream that takes no batches is refused, and nothing is written", async () => {
    const { url } = await freshNats();
    await manage(url, (jsm) => jsm.streams.add({ name: "CDC_SHOP", subjects: ["cdc.shop.>"] }));
    const opening = (await open(url)).stream(shop).openWriter(never);

    await expect(opening).rejects.toMatchObject({ name: "ConfigError", code: "STREAM_NOT_ATOMIC" });
    expect(await streams(url)).toEqual(["CDC_SHOP"]);
  });

  test.each(["cdc.shop.public.>", "events.>", "meta.*.writer"])(
    "subjects of another stream, such as %s, are left to it",
    async (subject) => {
      const { url } = await freshNats();
      await manage(url, (jsm) => jsm.streams.add({ name: "OTHERS", subjects: [subject] }));
      const opening = (await open(url)).stream(shop).openWriter(never);

      await expect(opening).rejects.toMatchObject({ name: "ConfigError", code: "BUS_SUBJECTS_TAKEN" });
      expect(await streams(url)).toEqual(["OTHERS"]);
    },
  );

  test.each([
    ["a user and a password", "authorization { user: u, password: '1@:%' }", "u:1%40%3A%25"],
    ["a token", "authorization { token: 'tok:en' }", "tok%3Aen"],
  ])("the url may hold %s, and wrong ones are a wrong configuration", async (_, config, credentials) => {
    const address = await bareNats(`${config}\njetstream { store_dir: $DIR }`);
    await using bus = await open(`nats://${credentials}@${address}`);

    expect(bus.connected()).toBe(true);
    await expect(open(`nats://u:wrong@${address}`)).rejects.toMatchObject({ name: "ConfigError", code: "BUS_AUTH" });
    await expect(open(`nats://${address}`)).rejects.toMatchObject({ name: "ConfigError", code: "BUS_AUTH" });
  });

  test("credentials that are refused while it runs are tried until they are accepted again", async () => {
    const config = (password: string): string =>
      `authorization { user: u, password: ${password} }\njetstream { store_dir: $DIR }`;
    const nats = await startBareNats(config("right"));
    await using bus = await open(`nats://u:right@${nats.host}`);
    await nats.reload(config("other"));
    // The client gives up at the second one unless it is told not to.
    await waitFor(async () => (await nats.logged("authentication error")) > 2, { what: "three refusals" });
    await nats.reload(config("right"));
    await waitFor(() => bus.connected(), { what: "the connection" });

    await using writer = await bus.stream(shop).openWriter(never);
    expect(writer.resume).toBeUndefined();
  });

  test("a batch that a stream refuses since somebody edited it ends the writer, with the setting's name; a new one sends it", async () => {
    const { url } = await freshNats();
    const bus = await open(url);
    const writer = await bus.stream(shop).openWriter(never);
    await manage(url, (jsm) => jsm.streams.update("CDC_SHOP", { max_msg_size: 2000 }));
    await writer.write(transaction(shop, 10, 1, { bytes: 5000 }));
    await expect(writer.failed).rejects.toMatchObject({
      code: "STREAM_UNFIT",
      hint: expect.stringContaining("--max-msg-size"),
    });
    await writer[Symbol.asyncDispose]();
    await manage(url, (jsm) => jsm.streams.update("CDC_SHOP", { max_msg_size: -1 }));

    await using next = await bus.stream(shop).openWriter(never);
    await next.write(transaction(shop, 10, 1, { bytes: 5000 }));
    expect(await next.nextMark()).toMatchObject({ positions: reached(place(10)) });
  });

  test("a start that reads back many messages behind no checkpoint says how many at most, and that none is saved", async () => {
    const { url } = await freshNats();
    const log = new RecordedLog();
    await using bus = await jetStreamAt(url, { fsync: "always", log, timing: {} });
    const writer = await bus.stream(shop).openWriter(never);
    for (let n = 1; n <= 11; n++) await writer.write(transaction(shop, n, 1000));
    await writer.flush(30_000);
    await writer[Symbol.asyncDispose]();
    expect([log.count("source_reading_back"), log.count("checkpoint_missing")]).toEqual([0, 0]);

    const heard: string[] = [];
    await using next = await bus.stream(shop).openWriter(never, { readingBack: (what) => heard.push(what) });
    expect(heard).toEqual([expect.stringContaining("up to 11001 messages")]);
    expect(log.of("source_reading_back")).toEqual([{ source: "shop", messages: 11_001 }]);
    expect(log.of("checkpoint_missing")).toEqual([
      { source: "shop", from: place(11, 999), code: "CHECKPOINT_MISSING" },
    ]);
    await next.save(await next.nextMark());
    await next[Symbol.asyncDispose]();
    await using third = await bus.stream(shop).openWriter(never, { readingBack: (what) => heard.push(what) });
    expect([third.resume, heard.length, log.count("checkpoint_missing")]).toEqual([next.resume, 1, 1]);
  });

  test("a transaction whose end has not come yet stalls nobody", async () => {
    const { url } = await freshNats();
    await using writer = await (await open(url)).stream(shop).openWriter(never);
    await writer.write(transaction(shop, 10, 2, { whole: false }));

    expect(writer.stalledMs()).toBe(0);
  });

  test("a dead letter waits for a bus that is away, until it is told to stop", async () => {
    const nats = await freshNats();
    const bus = await open(nats.url);
    await nats.kill();
    const stop = new AbortController();
    const storing = bus.deadLetter("dead._source.shop", "", Buffer.from("why"), { signal: stop.signal });
    stop.abort();

    await expect(storing).rejects.toMatchObject({ name: "TransientError", code: "BUS_UNREACHABLE" });
  });

  test("a dead letter that may be stored already is stored once, though the server has forgotten its id", async () => {
    const { url } = await freshNats();
    const lines = (subject: string): Promise<number> =>
      manage(url, async (jsm) => {
        const { state } = await jsm.streams.info("MILLRACE_DEAD", { subjects_filter: subject });
        return state.subjects?.[subject] ?? 0;
      });
    await manage(url, (jsm) =>
      jsm.streams.add({ name: "MILLRACE_DEAD", subjects: ["dead.>"], duplicate_window: nanos(100) }),
    );
    const bus = await open(url);
    const store = (subject: string, id: string, since?: number): Promise<void> =>
      bus.deadLetter(subject, `Nats-Msg-Id: ${id}\r\n`, Buffer.from(id), { since });
    const began = Date.now();
    await store("dead.mail", "1");
    const forgotten = async (): Promise<boolean> => {
      await store("dead.probe", "2");
      return (await lines("dead.probe")) > 1;
    };
    await waitFor(forgotten, { what: "the server to take an id again" });

    await store("dead.mail", "1", began);
    expect(await lines("dead.mail")).toBe(1);
    await store("dead.mail", "3", began);
    expect(await lines("dead.mail")).toBe(2);
    await store("dead.mail", "1", Date.now() + 3_600_000); // not stored since then
    expect(await lines("dead.mail")).toBe(3);
  });

  test("a connection that the client has closed for good ends the worker", async () => {
    const { url } = await freshNats();
    const bus = await open(url);
    await bus[Symbol.asyncDispose]();

    await expect(bus.stream(shop).openWriter(never)).rejects.toMatchObject({ name: "BugError", code: "BUS_GIVEN_UP" });
  });

  test("a server without JetStream is a wrong configuration", async () => {
    const opening = open(`nats://${await bareNats("")}`);

    await expect(opening).rejects.toMatchObject({ name: "ConfigError", code: "JETSTREAM_OFF" });
  });

  test("an account without JetStream is a wrong configuration", async () => {
    const { url } = await freshNats({
      config: `accounts { A { jetstream: enabled, users: [{ user: a, password: a }] }, B { users: [{ user: b, password: b }] } }
        no_auth_user: a`,
    });
    const opening = open(url.replace("nats://", "nats://b:b@"));

    await expect(opening).rejects.toMatchObject({ name: "ConfigError", code: "JETSTREAM_OFF" });
  });
});
