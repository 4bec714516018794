// A table that held rows before it was published, on a bus that syncs every two minutes: told of once, whatever restarts.

import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { readStream, type StreamEvent } from "../../support/bus/stream-events.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("a table that is added while the worker runs", () => {
  test("is one gap marker through restarts, for the rows that are not in the stream, counted and announced", async () => {
    const nats = await freshNats();
    const port = await freePort();
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const start = async (): Promise<Worker> => {
      const source = { kind: "postgres", url: database.url, tables: ["public.*"], timeout: "600ms" };
      const config = { bus: { servers: nats.url, fsync: "2m" }, sources: { shop: source }, http: { port } };
      const worker = await startWorker(config, { http: true, timing: { idleCheckMs: 500 } });
      worker.finished.catch(() => {}); // the test that waits for it sees it
      onTestFinished(() => worker.stop());
      await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source to run" });
      return worker;
    };
    const stream = (): Promise<readonly StreamEvent[]> => readStream(nats.url, "CDC_SHOP");
    const until = (subject: RegExp, count: number) =>
      waitFor(async () => (await stream()).filter((event) => subject.test(event.subject)).length >= count, {
        what: `${count} of ${subject}`,
      });

    const first = await start();
    await database.query("create table t2(id int primary key); insert into t2 values (1)");
    await until(/^meta.shop.gap$/, 1);
    const counted = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const ready = await (await fetch(`http://127.0.0.1:${port}/readyz`)).json();
    await database.query("insert into t2 values (2)");
    await until(/t2.created/, 1);
    await first.stop();
    for (const id of [3, 4, 5]) {
      const worker = await start();
      await database.query(`insert into t2 values (${id})`);
      await until(/t2.created/, id - 1);
      await worker.stop();
    }

    const events = await stream();
    const gaps = events.filter(({ subject }) => subject === "meta.shop.gap").map(({ text }) => JSON.parse(text));
    expect(gaps).toMatchObject([{ code: "TABLE_ADDED", collections: ["public.t2"], after: null }]);
    const rows = events.filter(({ subject }) => subject.includes(".t2.created."));
    expect(rows.map(({ text }) => JSON.parse(text).key.id)).toEqual([2, 3, 4, 5]);
    for (const { header } of rows) expect(String(header("Cdc-Pos")) > gaps[0].upTo).toBe(true);
    expect(counted).toContain('millrace_source_table_gaps_total{source="shop"} 1\n');
    expect(counted).toContain('millrace_source_gaps_total{source="shop"} 0\n'); // that one pages
    expect(ready).toMatchObject({
      ready: true,
      parts: expect.arrayContaining([expect.objectContaining({ code: "TABLE_GAP" })]),
    });
    const told = await readStream(nats.url, "MILLRACE_EVENTS");
    expect(told.map(({ text }) => JSON.parse(text))).toMatchObject([
      { source: "shop", code: "TABLE_ADDED", collections: ["public.t2"], upTo: gaps[0].upTo },
    ]);
  });
});
