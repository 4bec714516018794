// bus.retention: what a source's stream keeps, when it is made, and what check says of one that was made otherwise.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { createStream } from "../../../src/bus/jetstream/client/streams.ts";
import { checkBus } from "../../../src/bus/jetstream/commands/check-bus.ts";
import { resolveBusConfig } from "../../../src/config/resolve.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Finding } from "../../../src/telemetry/finding.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const DAY_NS = 86_400e9;

type Retention = Readonly<Record<string, unknown>>;

async function about(url: string, retention: Retention): Promise<readonly Finding[]> {
  const options = resolveBusConfig({ bus: { servers: url, retention } }, {});
  const findings: Finding[] = [];
  const { replicas, fsync } = options;
  const check = { ...options.access.reveal(), replicas, fsync, retention: options.retention };
  const signal = new AbortController().signal;
  for await (const finding of checkBus({ ...check, sources: ["shop" as SourceId], signal })) findings.push(finding);
  return findings.filter(({ subject }) => subject === "stream CDC_SHOP");
}

describe.skipIf(missing("nats", "postgres"))("the stream that a source makes", () => {
  test.each<readonly [Retention, object]>([
    [{}, { max_age: 7 * DAY_NS, max_bytes: -1, discard: "old" }],
    [
      { age: "30d", bytes: 50_000_000 },
      { max_age: 30 * DAY_NS, max_bytes: 50_000_000, discard: "old" },
    ],
    [
      { age: "unlimited", discard: "new" },
      { max_age: 0, discard: "new" },
    ],
  ])("keeps what %j says, and check finds it so", async (retention, expected) => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const sources = { shop: { kind: "postgres", url: database.url } };
    const worker = await startWorker({ bus: { servers: nats.url, retention }, sources });
    onTestFinished(() => worker.stop());
    await waitFor(() => worker.status().ready, { what: "the source to be read" });
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const { streams } = await jetstreamManager(nc);

    expect((await streams.info("CDC_SHOP")).config).toMatchObject(expected);
    expect(await about(nats.url, retention)).toEqual([expect.objectContaining({ level: "ok", code: "BUS_STREAM" })]);
    await worker.stop();
  });

  test("and differs from what is stated later is told, with the command that changes it", async () => {
    await using nats = await freshNats();
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const retention = { ageMs: (3 * DAY_NS) / 1e6 };
    await createStream(await jetstreamManager(nc), "shop" as SourceId, { replicas: 1, firstSeq: 1, retention });

    expect(await about(nats.url, {})).toEqual([
      expect.objectContaining({ level: "ok", message: "0 messages, 0 MB; it keeps events for 3d" }),
    ]);
    expect(await about(nats.url, { age: "12h", bytes: 5_000_000, discard: "new" })).toEqual([
      {
        level: "warn",
        code: "BUS_STREAM_RETENTION",
        subject: "stream CDC_SHOP",
        message: expect.stringMatching(/age: it keeps events for 3d, .* says for 12h; bytes: .*; discard: /),
        fix: "nats stream edit CDC_SHOP --max-age=12h --max-bytes=5000000 --discard=new",
      },
    ]);
    expect(await about(nats.url, { age: "unlimited" })).toEqual([
      expect.objectContaining({ fix: "nats stream edit CDC_SHOP --max-age=0s" }),
    ]);
    expect(await about(nats.url, { age: "3d" })).toEqual([expect.objectContaining({ level: "ok" })]);
  });
});
