// The stream of events that come from no source, where it is there already: as an older version made it, or as somebody set it.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import type { WorkerEvent } from "../../../src/event/worker-event.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { jetStreamAt } from "../../contract/jetstream-server.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshNats, missing } from "../../support/servers.ts";

const skip = missing("nats");
const settings = { fsync: "always", timing: {}, log: silentLogger } as const;
const event: WorkerEvent = {
  origin: "_in",
  aggregate: "payments",
  name: "invoice.paid",
  id: "payments.1",
  subject: "payments",
  lane: "p00",
  time: "2026-01-02T03:04:05.678Z",
  data: Buffer.from("{}"),
};
const older = ["events._system.>", "events._manual.>", "events._in.>"];

async function streamAt(url: string, config: Record<string, unknown>) {
  const nc = await connect({ servers: url });
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: "MILLRACE_EVENTS", subjects: older, ...config });
  return {
    config: async () => (await jsm.streams.info("MILLRACE_EVENTS")).config,
    purge: (filter: string) => jsm.streams.purge("MILLRACE_EVENTS", { filter }),
    [Symbol.asyncDispose]: () => nc.close(),
  };
}

test.skipIf(skip)(
  "a stream of an older version gets what it lacks at the first use, and keeps what somebody set",
  async () => {
    const { url } = await freshNats();
    const subjects = ["events._system.>", "events._manual.>", "events._in.payments.>", "mine.>"];
    await using stream = await streamAt(url, { subjects, max_age: nanos(86_400_000), max_bytes: 50_000_000 });
    await using bus = await jetStreamAt(url, settings);

    expect(await Promise.all([bus.receive(event, [{ key: "1" }]), bus.receive(event, [{ key: "2" }])])).toEqual([
      { stored: true },
      { stored: true },
    ]);
    expect(await stream.config()).toMatchObject({
      subjects: [
        "events._system.>",
        "events._manual.>",
        "mine.>",
        "events._in.>",
        "events._post.>",
        "events._schedule.>",
        "dedupe._in.>",
      ],
      allow_atomic: true,
      allow_msg_ttl: true,
      max_age: nanos(86_400_000),
      max_bytes: 50_000_000,
    });
  },
);

test.skipIf(skip)("a stream of an older version is left as it is by who needs nothing new of it", async () => {
  const { url } = await freshNats();
  await using stream = await streamAt(url, {});
  const before = await stream.config();
  await using bus = await jetStreamAt(url, settings);
  await bus.publish({ ...event, origin: "_manual" });

  expect(await stream.config()).toEqual(before);
});

test.skipIf(skip)("what is due finds its subject in a stream of an older version by the second try", async () => {
  const { url } = await freshNats();
  await using _ = await streamAt(url, {});
  await using bus = await jetStreamAt(url, settings);
  const due: WorkerEvent = { ...event, origin: "_schedule", aggregate: "nightly", name: "due" };

  await expect(bus.fire(due, 0)).rejects.toMatchObject({ name: "TransientError", code: "BUS_NO_STREAM" });
  expect(await bus.fire(due, 0)).toBe(1);
});

test.skipIf(skip)(
  "a stream that cannot be given what it lacks is a wrong configuration, and nothing is stored",
  async () => {
    const { url } = await freshNats();
    await using _ = await streamAt(url, { sealed: false, max_msgs_per_subject: 5 });
    await using bus = await jetStreamAt(url, settings);

    await expect(bus.receive(event, [{ key: "1" }])).rejects.toMatchObject({
      name: "ConfigError",
      code: "STREAM_UNFIT",
    });
    expect(await readStream(url, "MILLRACE_EVENTS")).toEqual([]);
  },
);
