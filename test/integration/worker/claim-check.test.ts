// Events that are larger than a message may be: the body in the object store, the event in its place and pointing there.

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { type VerifyReport, verifyStream } from "../../../src/bus/jetstream/verify/verify-stream.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { countMessages } from "../../support/bus/count-messages.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { largeObjects, loseObjects } from "../../support/postgres/large-objects.ts";
import { brokenLinks } from "../../support/postgres/transactions.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

interface Item {
  readonly id: number;
  readonly doc: string;
}

const items = collection<Item>("shop", "public.item");
/** Larger than what these servers take in one message; a body of it is three chunks. */
const WIDE = "repeat('große', 100000)";
const wideText = "große".repeat(100_000);

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

describe.skipIf(missing("postgres", "nats"))("an event that is larger than the bus takes", () => {
  test("is in its place and points to its body, which automations get as if it were there", async () => {
    await using nats = await freshNats({ config: "max_payload: 256KB" });
    await using database = await freshDatabase();
    await database.query("create table item(id int primary key, doc text)");
    const seen: string[] = [];
    const remember = automation("remember", { on: items.created(), start: "earliest", concurrency: 1 }, ({ event }) => {
      seen.push(digest(JSON.stringify(event.after)));
    });
    const worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.item"], slot: "claim_check" } },
      automations: [remember],
    });
    await waitFor(async () => (await readStream(nats.url, "CDC_SHOP")).length > 1, { what: "the first start" });
    await database.query(`begin; insert into item values (1, 'small'); insert into item values (2, ${WIDE});
      insert into item values (3, 'small'); commit`);
    await database.query(`insert into item values (4, ${WIDE})`);
    await waitFor(() => seen.length === 4, { what: "all events handled" });
    const status = worker.status();
    await worker.stop();

    const rows = [1, 2, 3, 4].map((id) => JSON.stringify({ id, doc: id % 2 === 0 ? wideText : "small" }));
    expect(seen).toEqual(rows.map(digest));
    expect(status.sources[0]?.poison).toBe(0);
    const events = (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => subject.startsWith("cdc."));
    const bodies = events.map(({ text }) => text);
    expect(bodies.map((text) => digest(JSON.stringify(JSON.parse(text).after)))).toEqual(seen);
    expect(events.map(({ header }) => header("ce-dataref") !== undefined)).toEqual([false, true, false, true]);
    for (const { header, text } of [events[1], events[3]].filter((event) => event !== undefined)) {
      const sha256 = digest(text);
      expect(header("ce-dataref")).toBe(`millrace_large/${header("ce-id")}.${sha256}`);
      expect(header("Cdc-Size")).toBe(String(Buffer.byteLength(text)));
      expect(header("Cdc-Sha256")).toBe(sha256);
    }
    expect(new Set(events.slice(0, 3).map(({ header }) => header("Nats-Batch-Id"))).size).toBe(1);
  });

  test.each(["the worker was away", "it is at work"])(
    "is stored again when the bus lost its body while %s, and nothing comes twice",
    async (when) => {
      await using nats = await freshNats({ config: "max_payload: 256KB" });
      await using database = await freshDatabase();
      await database.query("create table item(id int primary key, doc text)");
      const slot = `lost_${when.replaceAll(" ", "_")}`;
      // As if the server synced seldom: nothing of this test is durable before its end.
      const config = {
        bus: { servers: nats.url, fsync: "10m" as const },
        sources: { shop: { kind: "postgres", url: database.url, tables: ["public.item"], slot } },
      };
      const events = async (): Promise<number> => (await countMessages(nats.url, "shop")).events;
      const first = await startWorker(config);
      await waitFor(async () => (await countMessages(nats.url, "shop")).markers > 1, { what: "the first start" });
      let count = 0;
      for (const doc of ["'small'", WIDE, WIDE, "'small'", WIDE]) {
        await database.query(`insert into item values (${++count}, ${doc})`);
        await waitFor(async () => (await events()) === count, { what: "its event" });
      }
      const bodies = await largeObjects(nats.url);
      const away = when === "the worker was away";
      if (away) await first.stop();
      await loseObjects(nats.url, bodies.slice(0, 2));
      expect(await largeObjects(nats.url)).toEqual(bodies.slice(2));
      if (!away) await nats.kill();
      if (!away) await nats.restart();
      const worker = away ? await startWorker(config) : first;
      await waitFor(async () => (await largeObjects(nats.url)).length === 3, { what: "the bodies" });
      await database.query("insert into item values (6, 'behind')");
      await waitFor(async () => (await events()) >= 6, { what: "the row behind" });
      await worker.stop();

      expect(await largeObjects(nats.url)).toEqual(bodies);
      const stream = await readStream(nats.url, "CDC_SHOP");
      const rows = stream.filter(({ subject }) => subject.startsWith("cdc.")).map(({ text }) => JSON.parse(text).after);
      expect(rows.map(({ id, doc }) => [id, doc.length])).toEqual(
        [5, wideText.length, wideText.length, 5, wideText.length, 6].map((length, index) => [index + 1, length]),
      );
      expect(brokenLinks(stream)).toEqual([]);
      expect(await verified(nats.url)).toMatchObject({ ok: true, events: 6 });
    },
  );
});

function verified(natsUrl: string): Promise<VerifyReport> {
  const { signal } = new AbortController();
  const source = "shop" as SourceId;
  return verifyStream({ servers: [natsUrl], source, onProgress: () => {}, log: silentLogger, signal });
}
