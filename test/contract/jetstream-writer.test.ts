// What the writer of a source's stream owes the worker where a server and a connection can fail it: on a real nats-server.

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { FencedError } from "../../src/errors.ts";
import type { Position } from "../../src/event/position.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { brokenLinks, place, positionsOf, reached, transaction } from "../support/postgres/transactions.ts";
import { missing } from "../support/servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";
import { busGround, quick } from "./bus-ground.ts";
import type { BusServer } from "./bus-server.ts";
import { jetStreamAt, jetStreamServer } from "./jetstream-server.ts";

describe.skipIf(missing("nats"))("a writer on JetStream", async () => {
  const server = await jetStreamServer();
  const { nats } = server;
  const { freshSource, writer: open, stored, events } = busGround(server);
  const through =
    (proxy: TcpProxy): BusServer["open"] =>
    (settings) =>
      jetStreamAt(proxy.url(nats.url), settings);

  test("after cuts of its connection has stored everything once", async () => {
    const source = freshSource();
    await using proxy = await TcpProxy.start(nats.port);
    const log = new RecordedLog();
    const writer = await open(source, { log }, through(proxy));
    const written: Position[] = [];
    for (let round = 1; round <= 4; round++) {
      for (let n = 1; n <= 30; n++) {
        const messages = transaction(source, round * 100 + n, 1 + (n % 3));
        written.push(...messages.map(({ position }) => position));
        await writer.write(messages);
      }
      proxy.cut();
      await waitFor(() => log.of("bus_recovered").length >= round, { what: "a recovery" });
    }
    const stream = await events(source, written.length);

    expect(positionsOf(stream)).toEqual(written);
    expect(brokenLinks(stream)).toEqual([]);
  });

  test.each([
    ["cdc", "by.hand.created.p00", "{}"],
    ["meta", "writer", '{"lease":99}'],
    ["meta", "lost", "what is this"],
  ])(
    "passes over a message that somebody published by hand to %s.<source>.%s, and raises the alarm",
    async (kind, rest, body) => {
      const source = freshSource();
      const subject = `${kind}.${source}.${rest}`;
      const log = new RecordedLog();
      const writer = await open(source, { log });
      await writer.write(transaction(source, 10));
      await events(source, 1);
      const nc = await connect({ servers: nats.url });
      await jetstream(nc).publish(subject, body);
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

      expect(alarms).toMatchObject([{ level: "error", fields: { source, subject } }]);
      expect(brokenLinks(stream)).toEqual([]);
      const next = await open(source);
      expect([next.resume, next.lease]).toEqual([reached(place(20)), writer.lease + 1]);
    },
  );

  test("that is frozen behind a batch loses the lease after the lease's time, and that one writes and saves nothing more", async () => {
    const source = freshSource();
    await using proxy = await TcpProxy.start(nats.port);
    const first = await open(source, {}, through(proxy));
    const failed = first.failed.catch((error: unknown) => error);
    await first.write(transaction(source, 10));
    const mark = await first.nextMark();
    await events(source, 1);
    proxy.blackHole();
    const frozenAt = performance.now();
    await first.write(transaction(source, 20));
    const second = await open(source);
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

  test("names the worker that holds the lease while it waits for it", async () => {
    const source = freshSource();
    const log = new RecordedLog();
    const first = await open(source);
    const second = open(source, { log });
    await waitFor(() => log.of("source_waiting_for_lease").length > 0, { what: "the second one to wait" });
    const [marker] = await stored(source);

    expect(log.of("source_waiting_for_lease")).toEqual([
      { source, holder: JSON.parse(marker?.text ?? "").instance, lease: first.lease },
    ]);
    await first[Symbol.asyncDispose]();
    await second;
  });
});
