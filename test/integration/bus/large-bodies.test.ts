// The object store of large bodies: one object an event, whoever stores it and however often; whole, or not there.

import { jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { connect, nanos } from "@nats-io/transport-node";
import { afterAll, describe, expect, test } from "vitest";
import type { Bus } from "../../../src/bus/bus.ts";
import { LargeBodies } from "../../../src/bus/jetstream/bodies/large-bodies.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import { type DataRef, dataRefOf } from "../../../src/event/data-ref.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { transaction } from "../../support/postgres/transactions.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const SHOP = "shop" as SourceId;
const OBJECTS = "OBJ_millrace_large";
const DAY_MS = 24 * 60 * 60_000;
const never = new AbortController().signal;

describe.skipIf(missing("nats"))("a large body", async () => {
  const nats = await freshNats({ config: "max_payload: 128KB" });
  const stream = await ShopStream.create(nats.url);
  const { streams } = await jetstreamManager(stream.nc);
  const open = (): Promise<Bus> =>
    openJetStreamBus({ servers: [nats.url], replicas: 1, fsync: "always", log: silentLogger, signal: never });
  const one = await open();
  const other = await open();
  afterAll(async () => {
    for (const closing of [one, other, stream]) await closing[Symbol.asyncDispose]();
  });

  let events = 0;
  const large = (): StreamMessage => transaction(SHOP, ++events, 1, { bytes: 300_000 })[0] as StreamMessage;
  const refOf = (pointer: StreamMessage): DataRef => {
    const lines = new Map(pointer.head.split("\r\n").map((line) => line.split(": ") as [string, string]));
    const ref = dataRefOf({ data: pointer.data, header: (name) => lines.get(name) });
    if (ref === undefined) throw new Error("it points nowhere");
    return ref;
  };
  const fetched = async (pointer: StreamMessage): Promise<string | undefined> => {
    const body = await one.fetchBody(refOf(pointer));
    return body && Buffer.from(body).toString("latin1");
  };
  const text = ({ data }: StreamMessage): string => Buffer.from(data).toString("latin1");
  const objects = async (): Promise<number> => (await streams.info(OBJECTS)).state.messages;

  test("comes back whole, also by the client's own object store, and its event keeps all its headers", async () => {
    const message = large();
    const pointer = await one.stream(SHOP).claim(message, never);
    const store = await new Objm(stream.nc).open("millrace_large");

    expect(pointer).toMatchObject({ subject: message.subject, position: message.position });
    expect(pointer.head.startsWith(message.head)).toBe(true);
    expect(pointer.data).toHaveLength(0);
    expect((await fetched(pointer)) === text(message)).toBe(true);
    expect(Buffer.from((await store.getBlob(refOf(pointer).name)) ?? []).equals(message.data)).toBe(true);
  });

  test("is one object, written once, however often a crash has it stored again", async () => {
    const message = large();
    const pointer = await one.stream(SHOP).claim(message, never);
    const before = await objects();

    expect(await other.stream(SHOP).claim(message, never)).toEqual(pointer);
    expect(await one.stream(SHOP).claim(message, never)).toEqual(pointer);
    expect(await objects()).toBe(before);
  });

  test("is whole when two writers store it at once", async () => {
    const message = large();
    const writers = [one, other, one, other].map((bus) => bus.stream(SHOP).claim(message, never));
    const pointers = await Promise.all(writers);

    expect(new Set(pointers.map(({ head }) => head)).size).toBe(1);
    expect((await fetched(pointers[0] as StreamMessage)) === text(message)).toBe(true);
  });

  test.each([
    [
      "a chunk of which is lost",
      async (ref: DataRef) => {
        const info = await (await new Objm(stream.nc).open("millrace_large")).info(ref.name);
        await streams.purge(OBJECTS, { filter: `$O.millrace_large.C.${info?.nuid}`, keep: 1 });
      },
    ],
    [
      "that another one has taken the place of",
      async (ref: DataRef) => {
        const store = await new Objm(stream.nc).open("millrace_large");
        await store.putBlob({ name: ref.name }, Buffer.alloc(ref.sizeBytes, "y"));
      },
    ],
    ["that was deleted", async (ref: DataRef) => (await new Objm(stream.nc).open("millrace_large")).delete(ref.name)],
  ])("%s is not there, until it is stored again", async (_, spoil) => {
    const message = large();
    const pointer = await one.stream(SHOP).claim(message, never);
    await spoil(refOf(pointer));
    expect(await fetched(pointer)).toBeUndefined();

    expect(await other.stream(SHOP).claim(message, never)).toEqual(pointer);
    expect((await fetched(pointer)) === text(message)).toBe(true);
  });

  test("that cannot be looked for is told by our own error, so that the source is tried again", async () => {
    const ref = refOf(await one.stream(SHOP).claim(large(), never));
    const nc = await connect({ servers: nats.url, timeout: 500 });
    const jsm = await jetstreamManager(nc);
    const bodies = new LargeBodies({ nc, jsm, replicas: 1 });
    // The connection goes between the two questions that it asks.
    const info = jsm.streams.info.bind(jsm.streams);
    jsm.streams.info = async (...question) => {
      await nc.close();
      return info(...question);
    };

    await expect(bodies.has(ref)).rejects.toMatchObject({ name: "TransientError", code: "BUS_UNREACHABLE" });
  });

  test("lives a day longer than the stream's messages, also when their life was made longer", async () => {
    await using before = await open();
    await before.stream(SHOP).claim(large(), never);
    expect((await streams.info(OBJECTS)).config.max_age).toBe(nanos(8 * DAY_MS));

    await streams.update("CDC_SHOP", { max_age: nanos(30 * DAY_MS) });
    await using later = await open();
    await later.stream(SHOP).claim(large(), never);
    expect((await streams.info(OBJECTS)).config.max_age).toBe(nanos(31 * DAY_MS));
  });

  test("waits for a bus that is away, until it is told to stop", { timeout: 60_000 }, async () => {
    const stop = new AbortController();
    await nats.kill();
    const stopped = one.stream(SHOP).claim(large(), stop.signal);
    stopped.catch(() => {});
    const message = large();
    const waiting = one.stream(SHOP).claim(message, never);
    stop.abort();
    await expect(stopped).rejects.toMatchObject({ code: "BUS_UNREACHABLE" });
    await nats.restart();

    expect((await fetched(await waiting)) === text(message)).toBe(true);
  });

  test("that is missing is tried again, then its event is a dead letter that names it", async () => {
    const pointer = await one.stream(SHOP).claim(large(), never);
    const found = await one.stream(SHOP).claim(large(), never);
    const store = await new Objm(stream.nc).open("millrace_large");
    await store.delete(refOf(pointer).name);
    await stream.raw(pointer.subject, `${pointer.head}Cdc-Pos: ${pointer.position}\r\n`, pointer.data);
    await stream.raw(found.subject, `${found.head}Cdc-Pos: ${found.position}\r\n`, found.data);
    const seen: string[] = [];
    const reader = onOrder("reader", ({ event }) => void seen.push(event.id), {
      retry: { attempts: 3, min: 20, max: 50 },
    });
    await using worker = await startWorker({ url: nats.url, automations: [reader] });
    await waitFor(() => worker.metrics.counts["reader.exhausted"] === 1 && seen.length === 1, {
      what: "the dead letter",
    });

    expect(seen).toEqual([`shop.${found.position.replace("+", "")}`]);
    expect(worker.metrics.counts["reader.retried"]).toBe(2);
    expect(await stream.deadLetters("reader")).toMatchObject([
      {
        reason: "exhausted",
        attempts: 3,
        error: { code: "EVENT_BODY_MISSING" },
        event: { headers: { "ce-dataref": `millrace_large/${refOf(pointer).name}` } },
      },
    ]);
  });
});
