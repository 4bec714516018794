// The part of the bus contract about what it stores beside the events of sources: bodies, dead letters, the worker's own events.

import { describe, expect, test } from "vitest";
import type { Bus, LogRecord } from "../../src/bus/bus.ts";
import { PoisonError } from "../../src/errors.ts";
import { dataRefOf } from "../../src/event/data-ref.ts";
import type { StreamMessage } from "../../src/event/message.ts";
import { systemId } from "../../src/event/source-id.ts";
import type { WorkerEvent } from "../../src/event/worker-event.ts";
import { place, transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";
import { placeOf, subscriber } from "./consuming.ts";

const never = new AbortController().signal;

/** As a receiver of webhooks may have it: with all that a header's value cannot hold as it is. */
function received(id: string): WorkerEvent {
  return {
    origin: "_in",
    aggregate: "payments",
    name: "invoice.paid",
    id,
    subject: "ümlaut 100%",
    lane: "p03",
    time: "2026-01-02T03:04:05.678Z",
    data: Buffer.from('{"ä":1}'),
  };
}

export function busStoreContract(ground: BusGround): void {
  const { freshSource, bus, writerOn, read, when, until } = ground;
  const subscribe = subscriber(ground);

  describe("an event of the worker's own", () => {
    test("is handed out as those of sources are, to who subscribed before there was any", async () => {
      const { next } = await subscribe(systemId, { start: "now", filters: ["events._in.payments.>"] });
      const worker = await bus();
      await worker.publish({ ...received("other.1"), aggregate: "builds" });
      await worker.publish(received("handed.1"));
      const delivery = await next();

      expect([delivery.header("ce-id"), delivery.again]).toEqual(["handed.1", false]);
      await when(delivery.ack());
    });

    test("is stored once for each id, whoever publishes it", async () => {
      const before = (await read("MILLRACE_EVENTS")).length;
      const [one, other] = [await bus(), await bus()];
      await one.publish(received("once.1"));
      await one.publish(received("once.1"));
      await other.publish({ ...received("once.1"), data: Buffer.from("{}") });
      await other.publish(received("once.2"));
      const events = (await read("MILLRACE_EVENTS")).slice(before);

      expect(events.map(({ header }) => header("ce-id"))).toEqual(["once.1", "once.2"]);
      expect([events[0]?.subject, events[0]?.text]).toEqual(["events._in.payments.invoice~2Epaid.p03", '{"ä":1}']);
      const headers = ["ce-specversion", "ce-source", "ce-type", "ce-subject", "ce-time", "content-type"];
      expect(headers.map((name) => events[0]?.header(name))).toEqual([
        "1.0",
        "/_in",
        "_in.payments.invoice.paid",
        "%C3%BCmlaut%20100%25",
        "2026-01-02T03:04:05.678Z",
        "application/json",
      ]);
    });
  });

  describe("a large body", () => {
    const large = (source: ReturnType<typeof freshSource>): StreamMessage =>
      transaction(source, 10, 1, { bytes: 2_000_000 })[0] as StreamMessage;

    test("is stored beside its event, which points to it", async () => {
      const source = freshSource();
      const worker = await bus();
      const message = large(source);
      const pointer = await worker.stream(source).claim(message, never);
      const writer = await writerOn(worker, source);
      await writer.write([pointer]);
      const { next } = await subscribe(source);
      const delivery = await next();
      const ref = dataRefOf(delivery);

      expect(message.head.length + message.data.length).toBeGreaterThan(worker.stream(source).maxMessageBytes);
      expect([placeOf(delivery), delivery.data.length]).toEqual([place(10), 0]);
      expect(ref).toEqual(pointer.ref);
      const body = ref && (await worker.fetchBody(ref));
      expect(Buffer.from(body ?? []).equals(message.data)).toBe(true);
      expect((await read(`CDC_${source.toUpperCase()}`)).at(-1)?.text).toBe(Buffer.from(message.data).toString());
    });

    test("is the same however often it is stored, and not there before", async () => {
      const source = freshSource();
      const [one, other] = [await bus(), await bus()];
      const pointer = await one.stream(source).claim(large(source), never);

      expect(await other.stream(source).claim(large(source), never)).toEqual(pointer);
      const unknown = { name: "never-stored", sizeBytes: 2, sha256: "0".repeat(64) };
      expect(await one.fetchBody(unknown)).toBeUndefined();
    });
  });

  describe("a dead letter", () => {
    test("is stored with its headers, and refused when it is too large", async () => {
      const worker = await bus();
      await worker.deadLetter("dead.mail", "ce-id: 1\r\nMillrace-Error: NO\r\n", Buffer.from("why"));

      const letter = (await read("MILLRACE_DEAD")).at(-1);
      expect([letter?.subject, letter?.header("ce-id"), letter?.header("Millrace-Error"), letter?.text]).toEqual([
        "dead.mail",
        "1",
        "NO",
        "why",
      ]);
      await expect(worker.deadLetter("dead.mail", "", Buffer.alloc(2_000_000))).rejects.toBeInstanceOf(PoisonError);
    });

    test("is stored once for each id of its own", async () => {
      const worker = await bus();
      const letters = async () => (await read("MILLRACE_DEAD")).filter(({ subject }) => subject === "dead.twice");
      for (const id of ["1", "1", "2"])
        await worker.deadLetter("dead.twice", `Nats-Msg-Id: twice.${id}\r\n`, Buffer.from(id));

      expect((await letters()).map(({ text }) => text)).toEqual(["1", "2"]);
    });
  });

  /** The first record of all finds no stream, and has it made. */
  async function firstRecorded(worker: Bus, records: readonly LogRecord[]): Promise<void> {
    const taken = (): Promise<boolean> =>
      worker.record(records).then(
        () => true,
        () => false,
      );
    await until(taken, "the event log to be there");
  }

  test("records of the event log are all stored, in their order, by the time that it says so", async () => {
    const worker = await bus();
    const record = (outcome: string, sequence: number) => ({
      subject: `log.mail.${outcome}`,
      data: Buffer.from(JSON.stringify({ sequence })),
    });
    await firstRecorded(worker, [record("done", 1), record("dead", 2)]);
    await when(worker.record([record("done", 3)]));

    const told = (await read("MILLRACE_LOG")).map(({ subject, text }) => `${subject} ${text}`);
    expect(told.slice(-3)).toEqual([
      'log.mail.done {"sequence":1}',
      'log.mail.dead {"sequence":2}',
      'log.mail.done {"sequence":3}',
    ]);
  });

  test("a record with an id that another one has by now is that one, whoever stored it", async () => {
    const [one, other] = [await bus(), await bus()];
    const record = (id: string | undefined, text: string) => ({
      subject: "log.once.dead",
      data: Buffer.from(text),
      ...(id !== undefined && { id }),
    });
    const first = [record("a", "a of one"), record(undefined, "of one")];
    await firstRecorded(one, first);
    await when(other.record([record("a", "a of the other"), record("b", "b of the other"), record("a", "once more")]));
    await when(one.record([record("b", "b of one")]));
    await when(one.record([record(undefined, "of one")]));

    const told = (await read("MILLRACE_LOG")).filter(({ subject }) => subject === "log.once.dead");
    expect(told.map(({ text }) => text)).toEqual(["a of one", "of one", "b of the other", "of one"]);
  });

  test("two workers on one bus have names of their own", async () => {
    expect((await bus()).instance).not.toBe((await bus()).instance);
  });

  test("a stream says how long it keeps its events, once it is there", async () => {
    const source = freshSource();
    const worker = await bus();
    expect(await worker.keepsForMs(source)).toBeUndefined();
    await writerOn(worker, source);

    expect(await worker.keepsForMs(source)).toBeGreaterThan(24 * 60 * 60_000);
  });
}
