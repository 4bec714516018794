// What a start makes of the end of a stream: whom it believes, how far it looks back, and when what it read counts.

import { expect, test } from "vitest";
import type { Checkpoint } from "../../../src/bus/jetstream/lease/checkpoint-store.ts";
import { Lease } from "../../../src/bus/jetstream/lease/lease.ts";
import { type Established, establish, newestLease } from "../../../src/bus/jetstream/recovery/establish.ts";
import { encodeBatch, type Outgoing } from "../../../src/bus/jetstream/stream/encode.ts";
import type { Position } from "../../../src/event/position.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { Random, ScriptedPort, ScriptedServer } from "../../support/bus/scripted-bus.ts";
import { place, reached, transaction } from "../../support/postgres/transactions.ts";

const source = "shop" as SourceId;

/** A stream on a scripted bus that loses no answer, and one who starts to write it. */
class Ground {
  readonly server = new ScriptedServer(new Random(1));
  readonly port = new ScriptedPort(this.server, 1, 1000);
  readonly foreign: number[] = [];
  reads = 0;
  onForeign: () => void = () => {};

  constructor() {
    this.server.dropsNothing = true;
    const read = this.port.read.bind(this.port);
    this.port.read = (seq) => {
      this.reads++;
      return read(seq);
    };
  }

  /** Somebody publishes by hand. */
  stray(subject: string, body = "{}", head = ""): void {
    this.server.publish([{ subject, headers: Buffer.from(`NATS/1.0\r\n${head}\r\n`), data: Buffer.from(body) }]);
  }

  /** What that writer stores next. @param prev what it takes for the newest place */
  write({ token }: Pick<Established, "token">, messages: readonly Outgoing[], prev: Position | undefined): void {
    const { length: lastSeq } = this.server.messages;
    this.server.publish(
      encodeBatch(messages, "w", { lastSeq, token, tokenSubject: "meta.shop.writer", large: 0 }, prev),
    );
  }

  /** Runs it in virtual time. */
  async done<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    work.then(settle, settle);
    while (!settled) {
      if (!this.server.deliver()) this.server.clock.advance(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return work;
  }

  start(checkpoint?: Checkpoint): Promise<Established> {
    const { port } = this;
    const { clock } = this.server;
    const { signal } = new AbortController();
    const starting = async (): Promise<Established> => {
      const lease = await Lease.acquire(
        {
          port: port.leases,
          clock,
          instance: "w1",
          ttlMs: 3000,
          newestUsed: () => newestLease(port, source),
          onWaiting: () => {},
        },
        signal,
      );
      return establish({
        port,
        clock,
        source,
        lease,
        instance: "w1",
        checkpoint,
        idle: undefined,
        highest: 0,
        created: undefined,
        reason: "start",
        signal,
        hasBody: async () => true,
        onRemoved: () => {},
        onForeign: (seq) => {
          this.foreign.push(seq);
          this.onForeign();
        },
      });
    };
    return this.done(starting());
  }
}

test("a connection that goes between two answers makes the reading void: the bus may have lost what was read before", async () => {
  const ground = new Ground();
  ground.stray("cdc.shop.stray");
  ground.onForeign = () => ground.port.disconnect();

  await expect(ground.start()).rejects.toMatchObject({
    code: "BUS_INTERRUPTED",
    message: expect.stringContaining("of shop"),
  });
});

test("nothing is written behind such a one: numbers and token may fit a stream that has lost what was read", async () => {
  const ground = new Ground();
  ground.stray("cdc.shop.stray");
  ground.onForeign = () => ground.port.disconnect();
  const checkpoint = { position: place(5), streamSeq: 1, id: "another", streamCreated: "t0", lease: 1 };

  await expect(ground.start(checkpoint)).rejects.toMatchObject({ code: "BUS_INTERRUPTED" });
  expect(ground.server.messages.map(({ subject }) => subject)).toEqual(["cdc.shop.stray", "meta.shop.writer"]);
});

test("one that holds leaves the writer behind its own marker", async () => {
  const ground = new Ground();
  ground.stray("cdc.shop.stray");

  expect(await ground.start()).toMatchObject({ token: 2, lastSeq: 2, tail: undefined, lost: undefined });
});

test.each([
  ["writer", "what is this", ""],
  ["writer", '{"lease":9007199254740993}', ""],
  ["writer", '{"lease":99}', "ce-source: /shop\r\nce-id: shop.writer.99.1\r\n"],
  ["lost", "what is this", ""],
  ["lost", "{}", "ce-source: /shop\r\n"],
  ["lost", '{"from":"1"}', "ce-source: /shop\r\nce-id: shop.lost.1.3\r\n"],
  ["lost", '{"from":1,"to":3}', "ce-source: /shop\r\nce-id: shop.lost.1.4\r\n"],
  ["history", '{"lost":{"from":1,"to":2},"resume":null}', "ce-source: /shop\r\nce-id: shop.history.1.9\r\n"],
])("a message by hand on the subject of %s markers (%s) is foreign: nobody believes it", async (kind, body, head) => {
  const ground = new Ground();
  ground.write(await ground.start(), transaction(source, 10), undefined);
  ground.stray(`meta.shop.${kind}`, body, head);
  const next = await ground.start();

  expect(next).toMatchObject({ token: 4, tail: { position: place(10) }, resume: reached(place(10)), lost: undefined });
  expect(await ground.done(newestLease(ground.port, source))).toBe(2);
  if (kind !== "history") expect(ground.foreign).toEqual([3]);
});

test("a place named by a message that is not ours says nothing", async () => {
  const ground = new Ground();
  ground.write(await ground.start(), transaction(source, 10), undefined);
  ground.stray("cdc.shop.stray", "{}", `Cdc-Pos: ${place(90)}\r\n`);

  expect(await ground.start()).toMatchObject({ resume: reached(place(10)), lost: undefined });
  expect(ground.foreign).toEqual([3]);
});

test("a batch that does not follow is a loss once: the next start goes on from what was said about it", async () => {
  const ground = new Ground();
  const first = await ground.start();
  ground.write(first, transaction(source, 10), undefined);
  ground.write(first, transaction(source, 30), place(20));
  const second = await ground.start();
  const third = await ground.start();
  ground.write(third, transaction(source, 20), third.tail?.position);
  const fourth = await ground.start();

  expect(second).toMatchObject({ lost: { from: 3, to: 3 }, resume: reached(place(10)) });
  expect(third).toMatchObject({ lost: undefined, resume: reached(place(10)), tail: { position: place(10) } });
  expect(fourth).toMatchObject({ lost: undefined, resume: reached(place(20)) });
});

test("a checkpoint that the stream does not bear out is a loss once", async () => {
  const ground = new Ground();
  ground.write(await ground.start(), transaction(source, 10), undefined);
  const checkpoint = { position: place(5), streamSeq: 2, id: "another", streamCreated: "t0", lease: 1 };
  const second = await ground.start(checkpoint);
  const third = await ground.start(checkpoint);
  ground.write(third, transaction(source, 20), third.tail?.position);
  const fourth = await ground.start(checkpoint);
  ground.write(fourth, transaction(source, 30), fourth.tail?.position);
  const fifth = await ground.start(checkpoint);

  expect(second.lost).toEqual({ from: 2, to: 2 });
  expect([third, fourth, fifth].map(({ lost, resume }) => [lost, resume])).toEqual([
    [undefined, reached(place(10))],
    [undefined, reached(place(20))],
    [undefined, reached(place(30))],
  ]);
});

test("a start without a checkpoint looks back to where another one has looked, and not at the whole stream", async () => {
  const ground = new Ground();
  const first = await ground.start();
  for (let n = 1; n <= 500; n++) ground.write(first, transaction(source, n), n === 1 ? undefined : place(n - 1));
  const second = await ground.start();
  ground.write(second, transaction(source, 501), second.tail?.position);
  ground.reads = 0;
  const third = await ground.start();

  expect(third).toMatchObject({ resume: reached(place(501)), lost: undefined });
  expect(ground.reads).toBeLessThan(20);
});
