// What any bus owes the worker: one writer a source, whole transactions in order, each once, whatever happens between.

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, describe, expect, test } from "vitest";
import type { Bus, Writer } from "../../src/bus/bus.ts";
import type { Fsync } from "../../src/bus/jetstream/horizon.ts";
import type { BusTiming } from "../../src/bus/jetstream/jetstream-bus.ts";
import { FencedError, PoisonError } from "../../src/errors.ts";
import type { Position } from "../../src/event/position.ts";
import { type SourceId, streamName } from "../../src/event/source-id.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import { RecordedLog } from "../support/recorded-log.ts";
import { freshNats } from "../support/servers.ts";
import { readStream, type StreamEvent } from "../support/stream-events.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { brokenLinks, place, positionsOf, transaction } from "../support/transactions.ts";
import { waitFor } from "../support/wait-for.ts";

export interface MakeBusOptions {
  readonly url: string;
  readonly fsync: Fsync;
  readonly timing: Partial<BusTiming>;
  readonly log: Logger;
}

export type MakeBus = (options: MakeBusOptions) => Promise<Bus>;

const never = new AbortController().signal;
const quick: Partial<BusTiming> = { leaseTtlMs: 900, ackTimeoutMs: 2000, pingIntervalMs: 1000 };

export async function busContract(makeBus: MakeBus): Promise<void> {
  const nats = await freshNats();
  const open: AsyncDisposable[] = [];
  let sources = 0;
  const freshSource = (): SourceId => `shop_${++sources}` as SourceId;
  const bus = async (options: Partial<MakeBusOptions> = {}): Promise<Bus> => {
    const made = await makeBus({ url: nats.url, fsync: "always", timing: quick, log: new RecordedLog(), ...options });
    open.push(made);
    return made;
  };
  const write = async (source: SourceId, options: Partial<MakeBusOptions> = {}): Promise<Writer> => {
    const writer = await (await bus(options)).stream(source).openWriter(never);
    open.push(writer);
    return writer;
  };
  const stored = (source: SourceId): Promise<readonly StreamEvent[]> => readStream(nats.url, streamName(source));
  const events = async (source: SourceId, count: number): Promise<readonly StreamEvent[]> =>
    waitFor(
      async () => {
        const stream = await stored(source);
        return positionsOf(stream).length >= count && stream;
      },
      { what: `${count} events in ${streamName(source)}`, timeoutMs: 30_000 },
    );

  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
  });

  describe("a writer", () => {
    test("begins a stream with a marker that says who writes, and knows no place", async () => {
      const source = freshSource();
      const writer = await write(source);
      const [marker, ...rest] = await stored(source);

      expect(rest).toEqual([]);
      expect(writer.resume).toBeUndefined();
      expect(marker?.subject).toBe(`meta.${source}.writer`);
      expect(JSON.parse(marker?.text ?? "")).toMatchObject({ lease: writer.lease, reason: "start" });
      expect(marker?.header("Cdc-Pos")).toBeUndefined();
    });

    test("stores events in order, each batch naming the place before it", async () => {
      const source = freshSource();
      const writer = await write(source);
      const all = [1, 2, 1, 5, 1].flatMap((count, n) => transaction(source, 10 * (n + 1), count));
      for (const message of all) await writer.write([message]);
      const stream = await events(source, all.length);

      expect(positionsOf(stream)).toEqual(all.map(({ position }) => position));
      expect(stream.slice(1).map(({ text }) => text)).toEqual(all.map(({ data }) => Buffer.from(data).toString()));
      expect(brokenLinks(stream)).toEqual([]);
    });

    test("stores a transaction as one atomic batch, fenced by its first message, and a lone event plainly", async () => {
      const source = freshSource();
      const writer = await write(source);
      await writer.write(transaction(source, 10, 3));
      await events(source, 3);
      await writer.write(transaction(source, 20));
      const [, ...stream] = await events(source, 4);
      const headers = (name: string): readonly (string | undefined)[] => stream.map(({ header }) => header(name));

      expect(new Set(headers("Nats-Batch-Id").slice(0, 3)).size).toBe(1);
      expect(headers("Nats-Batch-Sequence")).toEqual(["1", "2", "3", undefined]);
      expect(headers("Nats-Batch-Commit")).toEqual([undefined, undefined, "1", undefined]);
      expect(headers("Nats-Batch-Id").at(-1)).toBeUndefined();
      expect(headers("Nats-Expected-Last-Sequence")).toEqual(["1", undefined, undefined, "4"]);
      expect(headers("Nats-Expected-Last-Subject-Sequence")).toEqual(["1", undefined, undefined, "1"]);
      expect(headers("Cdc-Prev")).toEqual([undefined, undefined, undefined, place(10, 2)]);
    });

    test.each([
      ["of more events than a batch holds", 2500, 0],
      ["of more bytes than a batch holds", 9, 900_000],
    ])("cuts only a transaction %s", async (_, count, bytes) => {
      const source = freshSource();
      const writer = await write(source);
      await writer.write([
        ...transaction(source, 10, 2),
        ...transaction(source, 20, count, { bytes }),
        ...transaction(source, 30, 2),
      ]);
      const stream = await events(source, count + 4);
      const batches = new Map<string | undefined, number>();
      for (const { header } of stream) {
        const id = header("Nats-Batch-Id");
        batches.set(id, (batches.get(id) ?? 0) + 1);
      }
      const cut = stream.filter(({ header }) => header("Cdc-Tx") === "20").map(({ header }) => header("Nats-Batch-Id"));
      const whole = ["10", "30"].map((tx) =>
        stream.filter(({ header }) => header("Cdc-Tx") === tx).map(({ header }) => header("Nats-Batch-Id")),
      );

      expect(brokenLinks(stream)).toEqual([]);
      expect(new Set(cut).size).toBeGreaterThan(1);
      expect(Math.max(...batches.values())).toBeLessThanOrEqual(1000);
      expect(whole.map((ids) => new Set(ids).size)).toEqual([1, 1]);
    });

    test("keeps back a transaction whose end is not there yet", async () => {
      const source = freshSource();
      const writer = await write(source);
      const [first, second] = transaction(source, 10, 2);
      if (first === undefined || second === undefined) throw new Error("two events");
      await writer.write([...transaction(source, 5), first]);
      expect(await writer.nextMark()).toMatchObject({ position: place(5), inStream: true });
      expect(positionsOf(await stored(source))).toHaveLength(1);
      await writer.write([second]);

      expect(positionsOf(await events(source, 3))).toEqual([place(5), place(10, 0, false), place(10, 1)]);
    });

    test("renews its marker, which then says where the source is", async () => {
      const source = freshSource();
      const writer = await write(source, { timing: { ...quick, leaseTtlMs: 300, markerEveryMs: 200 } });
      await writer.write(transaction(source, 10, 2));
      const markers = (stream: readonly StreamEvent[]): readonly StreamEvent[] =>
        stream.filter(({ subject, header }) => subject.endsWith(".writer") && header("Cdc-Pos") === place(10, 1));
      await waitFor(async () => markers(await stored(source)).length >= 2, { what: "two renewed markers" });
      await writer.write(transaction(source, 20, 2));
      const stream = await events(source, 4);

      expect(JSON.parse(markers(stream)[0]?.text ?? "")).toMatchObject({ lease: writer.lease, reason: "renewed" });
      expect(brokenLinks(stream)).toEqual([]);
    });
  });

  describe("a writer that goes on", () => {
    test("after a clean end knows the newest place, and writes under a new lease", async () => {
      const source = freshSource();
      const first = await write(source);
      await first.write(transaction(source, 10, 3));
      await events(source, 3);
      await first[Symbol.asyncDispose]();
      const second = await write(source);
      await second.write(transaction(source, 20, 2));
      const stream = await events(source, 5);

      expect(second.resume).toBe(place(10, 2));
      expect(second.lease).toBeGreaterThan(first.lease);
      expect(brokenLinks(stream)).toEqual([]);
    });

    test("after an end inside a transaction knows that place", async () => {
      const source = freshSource();
      const first = await write(source);
      await first.write(transaction(source, 10, 1200, { whole: false }));
      await events(source, 1000);
      await first[Symbol.asyncDispose]();

      expect((await write(source)).resume).toBe(place(10, 999, false));
    });

    test("after cuts of its connection has stored everything once", async () => {
      const source = freshSource();
      await using proxy = await TcpProxy.start(nats.port);
      const log = new RecordedLog();
      const writer = await write(source, { url: proxy.url(nats.url), log });
      const written: Position[] = [];
      for (let round = 1; round <= 4; round++) {
        for (let n = 1; n <= 30; n++) {
          const messages = transaction(source, round * 100 + n, 1 + (n % 3));
          written.push(...messages.map(({ position }) => position));
          await writer.write(messages);
        }
        proxy.cut();
        await waitFor(() => log.of("bus_recovered").length >= round, { what: "a recovery", timeoutMs: 30_000 });
      }
      const stream = await events(source, written.length);

      expect(positionsOf(stream)).toEqual(written);
      expect(brokenLinks(stream)).toEqual([]);
    });

    test("passes over a message that somebody published by hand, and raises the alarm", async () => {
      const source = freshSource();
      const log = new RecordedLog();
      const writer = await write(source, { log });
      await writer.write(transaction(source, 10));
      await events(source, 1);
      const nc = await connect({ servers: nats.url });
      await jetstream(nc).publish(`cdc.${source}.by.hand.created.p00`, "{}");
      await nc.close();
      await writer.write(transaction(source, 20));
      const stream = await waitFor(
        async () => {
          const all = await stored(source);
          return positionsOf(all).includes(place(20)) && all;
        },
        { what: "the event behind it" },
      );
      const alarms = log.lines.filter(({ event }) => event === "bus_foreign_write");
      await writer[Symbol.asyncDispose]();

      expect(alarms).toMatchObject([
        { level: "error", fields: { source, subject: `cdc.${source}.by.hand.created.p00` } },
      ]);
      expect(brokenLinks(stream)).toEqual([]);
      expect((await write(source)).resume).toBe(place(20));
    });
  });

  describe("a second writer", () => {
    test("waits for the lease, says who holds it, and takes it when it is given back", async () => {
      const source = freshSource();
      const log = new RecordedLog();
      const first = await write(source);
      await first.write(transaction(source, 10));
      let taken = false;
      const second = write(source, { log }).then((writer) => {
        taken = true;
        return writer;
      });
      await waitFor(() => log.of("source_waiting_for_lease").length > 0, { what: "the second one to wait" });
      const [marker] = await events(source, 1);

      expect(taken).toBe(false);
      expect(log.of("source_waiting_for_lease")).toEqual([
        { source, holder: JSON.parse(marker?.text ?? "").instance, lease: first.lease },
      ]);
      await first[Symbol.asyncDispose]();
      expect((await second).resume).toBe(place(10));
    });

    test("takes over from a frozen one after the lease's time, and that one writes and saves nothing more", async () => {
      const source = freshSource();
      await using proxy = await TcpProxy.start(nats.port);
      const first = await write(source, { url: proxy.url(nats.url) });
      const failed = first.failed.catch((error: unknown) => error);
      await first.write(transaction(source, 10));
      const mark = await first.nextMark();
      await events(source, 1);
      proxy.blackHole();
      const frozenAt = performance.now();
      await first.write(transaction(source, 20));
      const second = await write(source);
      const waitedMs = performance.now() - frozenAt;
      await second.write(transaction(source, 20, 2));
      await second.save(await second.nextMark());
      await proxy.heal();

      // The time runs from the first one's last renewal, which the second one sees some time later.
      expect(waitedMs).toBeGreaterThan((quick.leaseTtlMs ?? 0) / 2);
      expect(await failed).toBeInstanceOf(FencedError);
      await expect(first.save(mark)).rejects.toBeInstanceOf(FencedError);
      await expect(first.write(transaction(source, 30))).resolves.toBeUndefined();
      await second.write(transaction(source, 40));
      const stream = await events(source, 4);
      expect(positionsOf(stream)).toEqual([place(10), place(20, 0, false), place(20, 1), place(40)]);
      expect(brokenLinks(stream)).toEqual([]);
    });
  });

  describe("a checkpoint", () => {
    test("that is ahead of the stream is where the source goes on, and it never goes back", async () => {
      const source = freshSource();
      const first = await write(source);
      await first.write([...transaction(source, 10), { type: "commit", position: place(90) }]);
      const mark = await waitFor(
        async () => {
          const next = await first.nextMark();
          return next.position === place(90) && next;
        },
        { what: "the mark of the commit" },
      );
      expect(mark.inStream).toBe(false);
      await first.save(mark);
      await first.saveDurable();
      await first[Symbol.asyncDispose]();

      const second = await write(source);
      expect(second.resume).toBe(place(90));
      expect((await second.nextMark()).position).toBe(place(90));
      await second.write(transaction(source, 50)); // cannot come; if it did, it would be no checkpoint
      await second.write(transaction(source, 95));
      const places: Position[] = [];
      while (places.at(-1) !== place(95)) places.push((await second.nextMark()).position);
      expect(places).not.toContain(place(50));
    });

    test("waits until the bus has synced what it stands for, and that is shown", async () => {
      const source = freshSource();
      const fsyncMs = 400;
      const writer = await write(source, { fsync: fsyncMs });
      await writer.write(transaction(source, 10));
      await events(source, 1);
      const storedAt = performance.now();
      await waitFor(() => writer.heldForFsync().marks > 0, { what: "something to be held" });
      const mark = await writer.nextMark();

      expect(mark.position).toBe(place(10));
      // Pings bracket the time: what is counted began at most one ping after the event was seen.
      expect(performance.now() - storedAt).toBeGreaterThan(2 * fsyncMs - 200);
      expect(writer.heldForFsync()).toEqual({ marks: 0, oldestMs: 0 });
    });

    test("that only the save holds is durable only when the save is", async () => {
      const source = freshSource();
      const fsyncMs = 400;
      const writer = await write(source, { fsync: fsyncMs });
      await writer.write([{ type: "commit", position: place(10) }]);
      const mark = await writer.nextMark();
      expect(mark).toMatchObject({ position: place(10), inStream: false });
      const savedAt = performance.now();
      await writer.save(mark);
      await writer.saveDurable();

      expect(performance.now() - savedAt).toBeGreaterThanOrEqual(2 * fsyncMs);
    });
  });

  describe("beside the streams", () => {
    test("a source's memory is what was saved last", async () => {
      const stream = (await bus()).stream(freshSource());

      expect(await stream.loadMemory()).toBeUndefined();
      await stream.saveMemory({ slot: "a" });
      await stream.saveMemory({ slot: "b" });
      expect(await stream.loadMemory()).toEqual({ slot: "b" });
    });

    test("a dead letter is stored with its headers, and one that is too large is refused", async () => {
      const { deadLetter } = await bus();
      await deadLetter("dead.mail", "ce-id: 1\r\nMillrace-Error: NO\r\n", Buffer.from("why"));

      const [letter] = await readStream(nats.url, "MILLRACE_DEAD");
      expect([letter?.subject, letter?.header("ce-id"), letter?.header("Millrace-Error"), letter?.text]).toEqual([
        "dead.mail",
        "1",
        "NO",
        "why",
      ]);
      await expect(deadLetter("dead.mail", "", Buffer.alloc(2_000_000))).rejects.toBeInstanceOf(PoisonError);
    });
  });
}
