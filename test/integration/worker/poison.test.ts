// An event that is larger than it may be: a dead letter, a marker in its place, and on.

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";
import { brokenLinks } from "../../support/postgres/transactions.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("an event whose key does not fit into headers", () => {
  test("becomes a dead letter, with a marker in its place", async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query("create table item(id text primary key)");
    const worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.item"], slot: "long_key" } },
    });
    await waitFor(async () => (await readStream(nats.url, "CDC_SHOP")).length > 1, { what: "the first start" });
    await database.query("insert into item values ('before'), (repeat('k', 70000)), ('behind')");
    const stored = async () =>
      (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => /^cdc|poison$/.test(subject));
    const stream = await waitFor(async () => (await stored()).length === 3 && (await stored()), { what: "the rows" });
    await worker.stop();

    expect(stream.map(({ text }) => JSON.parse(text).after?.id ?? JSON.parse(text).code)).toEqual([
      "before",
      "EVENT_TOO_LARGE",
      "behind",
    ]);
  });
});

describe.skipIf(missing("postgres", "nats"))("an event that is larger than maxEventBytes", () => {
  test.each([
    ["inside a transaction", false, "256KB"],
    ["at a transaction's end", true, "256KB"],
    ["and not for the bus, whose own limit is higher,", true, "1MB"],
  ])("%s becomes a dead letter, with a marker in its place", async (_, atTheEnd, maxPayload) => {
    await using nats = await freshNats({ config: `max_payload: ${maxPayload}` });
    await using database = await freshDatabase();
    await database.query("create table item(id int primary key, doc text)");
    const log = new RecordedLog();
    const worker = await startWorker(
      {
        bus: { servers: nats.url, fsync: "always", maxEventBytes: 500_000 },
        sources: {
          shop: {
            kind: "postgres",
            url: database.url,
            tables: ["public.item"],
            slot: `poison_${atTheEnd}_${maxPayload.toLowerCase()}`,
          },
        },
      },
      { log },
    );
    const stored = () => readStream(nats.url, "CDC_SHOP");
    await waitFor(async () => (await stored()).length > 1, { what: "the first start" });
    await database.query("insert into item values (1, 'before')");
    await database.query(`begin; insert into item values (2, 'small'); insert into item values (3, repeat('große', 100000));
      ${atTheEnd ? "" : "insert into item values (4, 'small');"} commit`);
    await database.query("insert into item values (5, 'behind')");
    const stream = await waitFor(
      async () => {
        const all = await stored();
        return all.at(-1)?.text.includes("behind") === true && all;
      },
      { what: "the row behind it" },
    );
    const status = worker.status();
    await worker.stop();

    const kinds = stream
      .slice(2)
      .map(({ subject, text }) => (subject.startsWith("meta.") ? subject : JSON.parse(text).key.id));
    expect(kinds).toEqual(["meta.shop.schema", 1, 2, "meta.shop.poison", ...(atTheEnd ? [] : [4]), 5]);
    expect(brokenLinks(stream)).toEqual([]);
    const marker = stream.find(({ subject }) => subject === "meta.shop.poison");
    expect(marker?.header("Cdc-Tx-Last")).toBe(atTheEnd ? "1" : undefined);
    expect(marker?.header("Cdc-Tx")).toBe(stream[4]?.header("Cdc-Tx"));

    const letters = await readStream(nats.url, "MILLRACE_DEAD");
    expect(letters.map(({ subject }) => subject)).toEqual(["dead._source.shop"]);
    const body = JSON.stringify({
      op: "created",
      key: { id: 3 },
      before: null,
      after: { id: 3, doc: "große".repeat(100_000) },
    });
    const about = JSON.parse(marker?.text ?? "");
    expect(about).toMatchObject({
      code: "EVENT_TOO_LARGE",
      namespace: "public",
      collection: "item",
      sizeBytes: Buffer.byteLength(body),
      sha256: createHash("sha256").update(body).digest("hex"),
    });
    const [letter] = letters;
    expect(letter?.header("Millrace-Size")).toBe(String(about.sizeBytes));
    expect(letter?.header("Millrace-Sha256")).toBe(about.sha256);
    expect(letter?.header("Millrace-Position")).toBe(marker?.header("Cdc-Pos"));
    expect(letter?.text).toBe(
      Buffer.from(body)
        .subarray(0, 64 * 1024)
        .toString(),
    );
    expect(log.of("source_poison")).toMatchObject([{ code: "EVENT_TOO_LARGE", collection: "item" }]);
    expect(status.sources[0]?.poison).toBe(1);
  });
});
