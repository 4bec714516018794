// What is read of the end of a stream counts only if the connection held all the while.

import { expect, test } from "vitest";
import { establish } from "../../../src/bus/jetstream/establish.ts";
import { Lease } from "../../../src/bus/jetstream/lease.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { Random, ScriptedPort, ScriptedServer } from "../../support/scripted-bus.ts";

const source = "shop" as SourceId;

/** A stream with one stray message, and a reading of its end that calls `onStray` when it comes by that. */
async function read(onStray: (port: ScriptedPort) => void): Promise<Awaited<ReturnType<typeof establish>>> {
  const server = new ScriptedServer(new Random(1));
  server.dropsNothing = true;
  server.publish([{ subject: "cdc.shop.stray", headers: Buffer.from("NATS/1.0\r\n\r\n"), data: Buffer.from("{}") }]);
  const port = new ScriptedPort(server, 1, 1000);
  const { clock } = server;
  const established = (async () => {
    const lease = await Lease.acquire(
      { port: port.leases, clock, instance: "w1", ttlMs: 3000, newestInStream: async () => 0, onWaiting: () => {} },
      new AbortController().signal,
    );
    return establish({
      port,
      clock,
      source,
      lease,
      instance: "w1",
      checkpoint: undefined,
      highest: 0,
      created: undefined,
      reason: "start",
      hasBody: async () => true,
      onForeign: () => onStray(port),
    });
  })();
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  established.then(settle, settle);
  while (!settled) {
    if (!server.deliver()) clock.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return established;
}

test("a connection that goes between two answers makes the reading void: the bus may have lost what was read before", async () => {
  await expect(read((port) => port.disconnect())).rejects.toMatchObject({
    code: "BUS_INTERRUPTED",
    message: expect.stringContaining("of shop"),
  });
});

test("one that holds leaves the writer behind its own marker", async () => {
  expect(await read(() => {})).toMatchObject({ token: 2, lastSeq: 2, tail: undefined, lost: undefined });
});
