// Streams that somebody made or edited so that they cannot serve: `check` and a start refuse them by name, with the command that
// mends it, and a worker that runs goes red at its next look. On a real nats-server.

import { jetstreamManager, RetentionPolicy, StorageType, type StreamConfig } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { checkBus } from "../../../src/bus/jetstream/commands/check-bus.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const shop = "shop" as SourceId;
const subjects = ["cdc.shop.>", "events.shop.>", "meta.shop.>"];
const good = { name: "CDC_SHOP", subjects, allow_atomic: true };

async function manager(url: string) {
  const nc = await connect({ servers: url });
  onTestFinished(() => nc.close());
  return jetstreamManager(nc);
}

const signal = new AbortController().signal;

/** What `check` fails for: codes and fixes. */
async function failed(url: string): Promise<readonly { code: string; message: string; fix: string | undefined }[]> {
  const found: { code: string; message: string; fix: string | undefined }[] = [];
  for await (const { level, code, message, fix } of checkBus({
    servers: [url],
    replicas: 1,
    fsync: 120_000,
    sources: [shop],
    signal,
  }))
    if (level === "fail") found.push({ code, message, fix });
  return found;
}

/** How a writer's start ends. */
async function start(url: string): Promise<{ readonly code: string; readonly hint: string } | "started"> {
  await using bus = await openJetStreamBus({ servers: [url], replicas: 1, fsync: "always", log: silentLogger, signal });
  try {
    await using _ = await bus.stream(shop).openWriter(signal);
    return "started";
  } catch (error) {
    return error as { readonly code: string; readonly hint: string };
  }
}

const cases: readonly [
  what: string,
  config: Partial<StreamConfig> & { readonly name: string },
  message: RegExp,
  fix: RegExp,
][] = [
  ["retention interest", { ...good, retention: RetentionPolicy.Interest }, /acked/, /--retention limits/],
  ["retention workqueue", { ...good, retention: RetentionPolicy.Workqueue }, /acked/, /nats stream rm CDC_SHOP/],
  [
    "no meta.>",
    { ...good, subjects: ["cdc.shop.>", "events.shop.>"] },
    /meta\.shop\.>/,
    /--subjects "cdc\.shop\.>,events\.shop\.>,meta\.shop\.>"/,
  ],
  ["memory", { ...good, storage: StorageType.Memory }, /in memory/, /nats stream rm CDC_SHOP/],
  ["a limit per subject", { ...good, max_msgs_per_subject: 5 }, /5 messages a subject/, /--max-msgs-per-subject=-1/],
  ["no acknowledgements", { ...good, no_ack: true }, /acknowledges nothing/, /--ack/],
  ["a small max_msg_size", { ...good, max_msg_size: 1000 }, /above 1000 bytes/, /--max-msg-size=-1/],
  ["no batches", { ...good, allow_atomic: false }, /atomic/, /--allow-batch/],
  ["other sources", { ...good, sources: [{ name: "OTHER" }] }, /OTHER/, /take out sources/],
  [
    "a transform",
    { ...good, subject_transform: { src: "cdc.shop.>", dest: "cdc.shop.x.>" } },
    /subjects/,
    /subject_transform/,
  ],
  ["a mirror", { name: "CDC_SHOP", mirror: { name: "OTHER" }, allow_atomic: false }, /./, /./],
  [
    "an inactive threshold",
    { ...good, consumer_limits: { inactive_threshold: nanos(60_000) } },
    /60 s/,
    /inactive_threshold/,
  ],
  [
    "a bucket that forgets",
    { name: "KV_millrace_state", subjects: ["$KV.millrace_state.>"], max_age: nanos(60_000), max_msgs_per_subject: 1 },
    /60 s/,
    /--max-age=0/,
  ],
  [
    "a bucket in memory",
    {
      name: "KV_millrace_state",
      subjects: ["$KV.millrace_state.>"],
      storage: StorageType.Memory,
      max_msgs_per_subject: 1,
    },
    /in memory/,
    /nats stream rm/,
  ],
  ["dead letters without their subject", { name: "MILLRACE_DEAD", subjects: ["dead.mail"] }, /dead\.>/, /--subjects/],
  ["retries that nothing takes away", { name: "MILLRACE_RETRY", subjects: ["retry.>"] }, /acked/, /nats stream rm/],
  [
    "retries that are forgotten",
    {
      name: "MILLRACE_RETRY",
      subjects: ["retry.>"],
      retention: RetentionPolicy.Workqueue,
      max_age: nanos(60_000),
    },
    /60 s/,
    /--max-age=0/,
  ],
];

describe.skipIf(missing("nats"))("a stream made beforehand that cannot serve", () => {
  for (const [what, config, message, fix] of cases) {
    test(`is refused by check and at the start: ${what}`, async () => {
      const { url } = await freshNats();
      const jsm = await manager(url);
      await jsm.streams.add({ name: "OTHER", subjects: ["other"] });
      await jsm.streams.add(config);
      const before = (await jsm.getAccountInfo()).streams;

      const [first] = await failed(url);
      expect([first?.message, first?.fix]).toEqual([expect.stringMatching(message), expect.stringMatching(fix)]);
      expect(first?.message).toContain(config.name);
      const refused = await start(url);
      expect(refused).toMatchObject({ name: "ConfigError", code: first?.code, hint: first?.fix });
      expect((await jsm.getAccountInfo()).streams).toBe(before);

      await jsm.streams.delete(config.name);
      expect(await failed(url)).toEqual([]);
      expect(await start(url)).toBe("started");
    });
  }

  test("passes with other harmless settings, and with subjects that say more", async () => {
    const { url } = await freshNats();
    const jsm = await manager(url);
    await jsm.streams.add({
      ...good,
      subjects: ["cdc.>", "events.*.>", "meta.shop.>", "else.>"],
      max_bytes: 10_000_000,
      max_age: nanos(3_600_000),
      max_msg_size: 8_388_608,
      compression: "s2" as never,
    });
    expect([await failed(url), await start(url)]).toEqual([[], "started"]);
  });
});

test.skipIf(missing("postgres", "nats"))(
  "one that is edited while it is written to is red at the next look, until it is mended",
  async () => {
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const { url } = await freshNats();
    const jsm = await manager(url);
    const worker = await startWorker(
      { bus: { servers: url, fsync: "always" }, sources: { shop: { kind: "postgres", url: database.url } } },
      { timing: { idleCheckMs: 200 } },
    );
    onTestFinished(() => worker.stop());
    const view = () => worker.status().parts.find(({ id }) => id === "shop");
    await waitFor(() => view()?.ready === true, { what: "the source to run" });

    await jsm.streams.update("CDC_SHOP", { max_msgs_per_subject: 1 });
    await waitFor(() => view()?.code === "STREAM_UNFIT", { what: "the source to be red" });
    expect(view()?.reason).toContain("the stream CDC_SHOP keeps no more than 1 messages a subject");
    await jsm.streams.update("CDC_SHOP", { max_msgs_per_subject: -1 });
    await waitFor(() => view()?.ready === true, { what: "the source to run again", timeoutMs: 60_000 });
  },
);
