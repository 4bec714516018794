// `millrace check` of a real nats-server: each precondition is broken, the finding is seen, mended, and it is gone.

import { DiscardPolicy, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { createStream, refuseTakenSubjects } from "../../../src/bus/jetstream/client/streams.ts";
import { checkBus } from "../../../src/bus/jetstream/commands/check-bus.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Finding } from "../../../src/telemetry/finding.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { oldNats } from "../../support/bus/old-nats.ts";
import { transaction } from "../../support/postgres/transactions.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const SHOP = "shop" as SourceId;
type Options = Partial<Parameters<typeof checkBus>[0]>;

async function findingsOf(url: string, options: Options = {}): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const signal = new AbortController().signal;
  const checked = { servers: [url], replicas: 1, fsync: 120_000, sources: [SHOP], signal, ...options };
  for await (const finding of checkBus(checked)) findings.push(finding);
  return findings;
}

async function wrong(url: string, options?: Options): Promise<readonly string[]> {
  return (await findingsOf(url, options))
    .filter(({ level }) => level !== "ok")
    .map(({ code, level }) => `${level} ${code}`);
}

async function manager(url: string): Promise<JetStreamManager> {
  const { username: user, password: pass, host } = new URL(url);
  const nc = await connect({ servers: host, ...(user ? { user, pass } : {}) });
  onTestFinished(() => nc.close());
  return jetstreamManager(nc);
}

/** Publishes until the server takes no more. */
async function fill(url: string, subject: string): Promise<void> {
  const nc = await connect({ servers: url });
  onTestFinished(() => nc.close());
  const refused = async (): Promise<boolean> =>
    jetstream(nc)
      .publish(subject, new Uint8Array(50_000))
      .then(
        () => false,
        () => true,
      );
  while (!(await refused()));
}

const subjects = ["cdc.shop.>", "events.shop.>", "meta.shop.>"];

describe.skipIf(missing("nats"))("checking the bus", () => {
  test("a server as it should be has nothing wrong, and is not changed", async () => {
    const { url } = await freshNats();

    expect(await wrong(url)).toEqual([]);
    expect(await (await manager(url)).getAccountInfo()).toMatchObject({ streams: 0 });
  });

  test("a server that does not answer, until it does", async () => {
    const port = await freePort();

    expect(await wrong(`nats://127.0.0.1:${port}`)).toEqual(["fail BUS_UNREACHABLE"]);
    await freshNats({ port });
    expect(await wrong(`nats://127.0.0.1:${port}`)).toEqual([]);
  });

  test("a server before 2.12 (a double that sends the INFO of one)", async () => {
    await using old = await oldNats("2.11.9");

    expect(await wrong(old.url)).toEqual(["fail BUS_TOO_OLD"]);
  });

  test("a wrong password, and an account without JetStream", async () => {
    const { url } = await freshNats({
      config: `no_auth_user: a\naccounts { A { users: [{ user: a, password: right }], jetstream: enabled }, B { users: [{ user: b, password: b }] } }`,
    });

    expect(await wrong(url.replace("nats://", "nats://a:wrong@"))).toEqual(["fail BUS_AUTH"]);
    expect(await wrong(url.replace("nats://", "nats://b:b@"))).toEqual(["fail JETSTREAM_OFF"]);
    expect(await wrong(url.replace("nats://", "nats://a:right@"))).toEqual([]);
  });

  test("an account that may not have as many streams, or has no storage left", async () => {
    const limits = (name: string, max: string): string =>
      `${name} { users: [{ user: ${name}, password: p }], jetstream: { ${max} } }`;
    const { url } = await freshNats({
      config: `no_auth_user: enough\naccounts { ${limits("few", "max_streams: 5")}, ${limits("scant", "max_streams: 7")}, ${limits("enough", "max_streams: 9")}, ${limits("one", "max_streams: 1")}, ${limits("full", "max_file: 20000")} }`,
    });
    const as = (name: string): string => url.replace("nats://", `nats://${name}:p@`);
    const nc = await connect({ servers: url, user: "full", pass: "p" });
    onTestFinished(() => nc.close());
    await (await jetstreamManager(nc)).streams.add({ name: "OTHER", subjects: ["other"] });
    for (let refused = false; !refused; ) {
      refused = await jetstream(nc)
        .publish("other", new Uint8Array(900))
        .then(
          () => false,
          () => true,
        );
    }

    expect(await wrong(as("few"))).toEqual(["fail BUS_LIMIT_REACHED"]);
    expect(await wrong(as("scant"))).toEqual(["warn BUS_LIMIT_REACHED"]);
    const one = await manager(as("one"));
    await one.streams.add({ name: "OTHER", subjects: ["other"] });
    await expect(createStream(one, SHOP, { replicas: 1, firstSeq: 1 })).rejects.toMatchObject({
      name: "ConfigError",
      code: "BUS_LIMIT_REACHED",
    });
    expect(await wrong(as("enough"))).toEqual([]);
    expect(await wrong(as("full"))).toEqual(["fail BUS_LIMIT_REACHED"]);
  });

  test("a server whose max_file_store is full, whatever the account may store", async () => {
    const port = await freePort();
    const { url } = await freshNats({ config: `http: "127.0.0.1:${port}"`, maxFileStore: 1_000_000 });
    const monitor = `http://127.0.0.1:${port}`;
    const jsm = await manager(url);
    await jsm.streams.add({ name: "OTHER", subjects: ["other"] });
    const account = async (options?: Options): Promise<Finding | undefined> =>
      (await findingsOf(url, options)).find(({ subject }) => subject === "jetstream account");
    expect(await account({ monitor })).toMatchObject({ level: "ok", message: "it has room: 1 MB of storage" });

    await fill(url, "other");
    expect(await account({ monitor })).toMatchObject({
      level: "fail",
      code: "BUS_LIMIT_REACHED",
      message: "1 MB of 1 MB of the server's max_file_store are taken",
    });
    const unread = await account({ monitor: `http://127.0.0.1:${await freePort()}` });
    expect(unread?.message).toBe("it has no limit of its own; the server's max_file_store cannot be read from here");
    await jsm.streams.purge("OTHER");
    expect(await account({ monitor })).toMatchObject({ level: "ok" });
  });

  test("a server whose max_file_store is full is named by writers and at starts, with what mends it", async () => {
    const { url } = await freshNats({ maxFileStore: 1_000_000 });
    const jsm = await manager(url);
    await jsm.streams.add({ name: "OTHER", subjects: ["other"] });
    const signal = new AbortController().signal;
    const access = { servers: [url], replicas: 1, fsync: "always", log: silentLogger, signal } as const;
    await using bus = await openJetStreamBus(access);
    await using writer = await bus.stream(SHOP).openWriter(signal);
    await fill(url, "other");

    await writer.write(transaction(SHOP, 10, 1));
    await waitFor(() => writer.stalledBy()?.code === "STREAM_FULL", { what: "the writer to name it" });
    await expect(bus.deadLetter("dead.mail", "", new Uint8Array(2000), { signal })).rejects.toMatchObject({
      code: "STREAM_FULL",
      hint: expect.stringContaining("max_file_store"),
    });
    await expect(bus.stream("second" as SourceId).openWriter(signal)).rejects.toMatchObject({
      code: "STREAM_FULL",
      hint: expect.stringContaining("max_file_store"),
    });
    await jsm.streams.purge("OTHER");
    expect((await writer.nextMark()).streamSeq).toBeGreaterThan(1);
  });

  test("copies that one server cannot keep", async () => {
    const { url } = await freshNats();

    expect(await wrong(url, { replicas: 3 })).toEqual(["fail BUS_TOO_FEW_SERVERS"]);
    expect(await wrong(url, { replicas: 1 })).toEqual([]);
  });

  test("a statement about fsync against the server's own word", async () => {
    const port = await freePort();
    const { url } = await freshNats({ syncInterval: '"45s"', config: `http: "127.0.0.1:${port}"` });
    const monitor = `http://127.0.0.1:${port}`;

    expect(await wrong(url, { fsync: "always", monitor })).toEqual(["fail BUS_FSYNC"]);
    expect(await wrong(url, { fsync: 30_000, monitor })).toEqual(["fail BUS_FSYNC"]);
    expect(await wrong(url, { fsync: 45_000, monitor })).toEqual([]);
    const unread = { fsync: "always", monitor: `http://127.0.0.1:${await freePort()}` } as const;
    expect(await wrong(url, unread)).toEqual(["warn BUS_FSYNC"]);
  });

  test("a server that syncs always", async () => {
    const port = await freePort();
    const { url } = await freshNats({ syncInterval: "always", config: `http: "127.0.0.1:${port}"` });

    expect(await wrong(url, { fsync: "always", monitor: `http://127.0.0.1:${port}` })).toEqual([]);
  });

  test("subjects that another stream captures", async () => {
    const { url } = await freshNats();
    const jsm = await manager(url);
    await jsm.streams.add({ name: "ALL", subjects: ["cdc.>"] });

    expect(await wrong(url)).toEqual(["fail BUS_SUBJECTS_TAKEN"]);
    await jsm.streams.delete("ALL");
    expect(await wrong(url)).toEqual([]);
  });

  test("the source's own stream, which another worker has just made, is nobody else's", async () => {
    const { url } = await freshNats();
    const jsm = await manager(url);
    await jsm.streams.add({ name: "CDC_SHOP", subjects, allow_atomic: true, max_bytes: 1_000_000 });

    await refuseTakenSubjects(jsm, SHOP);
    expect((await createStream(jsm, SHOP, { replicas: 1, firstSeq: 1 })).config.max_bytes).toBe(1_000_000);
  });

  test("a stream of dead letters that is full is called so, with what mends it", async () => {
    const { url } = await freshNats();
    const jsm = await manager(url);
    await jsm.streams.add({
      name: "MILLRACE_DEAD",
      subjects: ["dead.>"],
      max_bytes: 1000,
      discard: DiscardPolicy.New,
    });
    const signal = new AbortController().signal;
    await using bus = await openJetStreamBus({
      servers: [url],
      replicas: 1,
      fsync: "always",
      log: silentLogger,
      signal,
    });
    const refused = bus.deadLetter("dead.mail", "", new Uint8Array(2000), { signal });
    await expect(refused).rejects.toMatchObject({
      name: "TransientError",
      code: "STREAM_FULL",
      hint: expect.stringContaining("max_bytes"),
    });
  });

  test("a stream that takes no batches", async () => {
    const { url } = await freshNats();
    const jsm = await manager(url);
    await jsm.streams.add({ name: "CDC_SHOP", subjects });

    expect(await wrong(url)).toEqual(["fail STREAM_NOT_ATOMIC"]);
    await jsm.streams.update("CDC_SHOP", { allow_atomic: true });
    expect(await wrong(url)).toEqual([]);
  });

  test("a stream that is sealed, until it is removed", async () => {
    const { url } = await freshNats();
    const jsm = await manager(url);
    await jsm.streams.add({ name: "CDC_SHOP", subjects, allow_atomic: true });
    const sealed = { sealed: true } as Parameters<typeof jsm.streams.update>[1]; // which its type leaves out
    await jsm.streams.update("CDC_SHOP", sealed);

    expect(await wrong(url)).toEqual(["fail STREAM_SEALED"]);
    await jsm.streams.delete("CDC_SHOP");
    expect(await wrong(url)).toEqual([]);
  });

  test("a stream that is too small for its max_age at the rate so far", async () => {
    const { url } = await freshNats();
    const jsm = await manager(url);
    await jsm.streams.add({
      name: "CDC_SHOP",
      subjects,
      allow_atomic: true,
      max_bytes: 65_536,
      max_age: nanos(60_000),
    });
    const nc = await connect({ servers: url });
    onTestFinished(() => nc.close());
    for (let n = 0; n < 100; n++) await jetstream(nc).publish("cdc.shop.x", new Uint8Array(1000));

    const [finding] = (await findingsOf(url)).filter(({ level }) => level === "warn");
    expect(finding).toMatchObject({
      code: "BUS_STREAM_TOO_SMALL",
      message: expect.stringContaining("60 s of its max_age"),
    });
    const bytes = Number(/--max-bytes=(\d+)$/.exec(finding?.fix ?? "")?.[1]);
    expect(bytes).toBeGreaterThan(65_536);
    await jsm.streams.update("CDC_SHOP", { max_bytes: bytes });
    expect(await wrong(url)).toEqual([]);
  });
});
