// What /metrics counts is what happened: rows, retries, dead letters, and nothing left in the queue.

import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { automation, collection } from "../../../src/index.ts";
import { createLogger } from "../../../src/telemetry/create-logger.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const CREATED = "shop.public.orders.created";
const UPDATED = "shop.public.orders.updated";

/** Values by name and labels, as they stand in the text. */
type Samples = ReadonlyMap<string, number>;

function parse(text: string): Samples {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** Counts the checkpoints that reach the bus, as any subscriber sees them. */
async function countSaves(natsUrl: string): Promise<() => number> {
  const connection = await connect({ servers: natsUrl });
  onTestFinished(() => connection.close());
  let saves = 0;
  connection.subscribe("$KV.millrace_state.checkpoint.shop", { callback: () => void saves++ });
  await connection.flush();
  return () => saves;
}

describe.skipIf(missing("postgres", "nats"))("a run with rows, skips, retries and dead letters", () => {
  test("is counted exactly, and logged line by line where that is asked for", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats({ config: "max_payload: 256KB" });
    await database.query("create table orders(id int primary key, note text)");
    const orders = collection<{ id: number; note: string }>("shop", "public.orders");
    const failedOnce = new Set<number>();
    const retry = { attempts: 3, min: 20, max: 50 } as const;
    const ship = automation("ship", { on: orders.created(), retry, start: "earliest" }, (context) => {
      const id = Number(context.event.after?.id);
      if (id % 10 === 1) return context.skip("nothing to ship");
      if (id % 10 === 2) throw context.fatal("no such address");
      if (id % 10 === 3) throw new Error(`cannot ship ${context.event.after?.note}`);
      if (id % 10 === 4 && !failedOnce.has(id)) {
        failedOnce.add(id);
        throw new Error("once");
      }
      return undefined;
    });
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const note = automation("note", { on: orders.updated(), retry, start: "earliest" }, () => released);
    const lines: Record<string, unknown>[] = [];
    const log = createLogger({ level: "info", pretty: false, write: (line) => void lines.push(JSON.parse(line)) });
    const http = { host: "127.0.0.1", port: await freePort() };
    const sources = { shop: { kind: "postgres", url: database.url } };
    const bus = { servers: nats.url, fsync: "always", maxEventBytes: 500_000 };
    const saved = await countSaves(nats.url);
    const config = { http, sources, bus, log: { events: true }, automations: [ship, note] };
    const worker = await startWorker(config, { http: true, log });
    worker.finished.catch(() => {}); // the test would see it
    onTestFinished(() => worker.stop());
    const scrape = async (): Promise<Samples> =>
      parse(await (await fetch(`http://127.0.0.1:${http.port}/metrics`)).text());

    await waitFor(() => worker.status().ready, { what: "the worker to be ready" });
    for (let first = 1; first <= 100; first += 10) {
      await database.query("insert into orders select n, 'secret of ' || n from generate_series($1::int, $1 + 9) n", [
        first,
      ]);
    }
    const cause = { correlationId: "shop.began", causationId: "shop.cause", hops: 1, automation: "before" };
    await database.query(`begin; select pg_logical_emit_message(true, 'millrace.lineage', '${JSON.stringify(cause)}');
      update orders set note = 'changed' where id <= 30; commit`);
    await database.query("insert into orders values (1000, repeat('x', 600000))"); // larger than an event may be
    // 80 are handled or skipped, 10 dead at once, 10 after two retries; 10 more were tried twice.
    const timeoutMs = 40_000;
    const held = async (): Promise<boolean> => {
      const now = await scrape();
      return (
        now.get('queue_depth{automation="note"}') === 30 &&
        now.get('millrace_automation_running{automation="note"}') === note.concurrency
      );
    };
    await waitFor(held, { what: "the queue to be as long as what is held up", timeoutMs });
    release();
    const done = (): boolean => {
      const [ships, notes] = worker.status().automations;
      return ships?.dead === 20 && ships.handled + ships.skipped === 80 && notes?.handled === 30;
    };
    await waitFor(done, { what: "all events to be settled", timeoutMs });
    const empty = (samples: Samples): Samples | undefined =>
      samples.get('queue_depth{automation="ship"}') === 0 && samples.get('queue_depth{automation="note"}') === 0
        ? samples
        : undefined;
    const markers = (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => subject.startsWith("meta."));
    const told = markers.filter(({ subject }) => subject !== "meta.shop.writer").length;
    const samples = await waitFor(async () => empty(await scrape()), { what: "the queues to be empty", timeoutMs });

    const expected = {
      [`events_total{event_type="${CREATED}",status="success"}`]: 80,
      [`events_total{event_type="${CREATED}",status="failure"}`]: 10 + 30 + 10,
      [`events_total{event_type="${UPDATED}",status="success"}`]: 30,
      [`event_processing_seconds_count{automation="ship",event_type="${CREATED}"}`]: 100 + 20 + 10,
      [`event_processing_seconds_count{automation="note",event_type="${UPDATED}"}`]: 30,
      'millrace_automation_events_total{automation="ship",outcome="handled",reason=""}': 70,
      'millrace_automation_events_total{automation="ship",outcome="skipped",reason=""}': 10,
      'millrace_automation_events_total{automation="ship",outcome="retried",reason=""}': 20 + 10,
      'millrace_automation_events_total{automation="ship",outcome="dead",reason="fatal"}': 10,
      'millrace_automation_events_total{automation="ship",outcome="dead",reason="exhausted"}': 10,
      'millrace_source_transactions_published_total{source="shop"}': 11,
      'millrace_source_events_published_total{source="shop"}': 130,
      'millrace_source_markers_published_total{source="shop"}': told,
      'millrace_source_poison_total{source="shop"}': 1,
      'millrace_source_gaps_total{source="shop"}': 0,
      'millrace_bus_recoveries_total{source="shop"}': 0,
      'millrace_automation_running{automation="ship"}': 0,
      'millrace_automation_running{automation="note"}': 0,
      'millrace_source_retries_total{source="shop"}': 0,
      'millrace_source_lag_seconds{source="shop"}': 0,
      'millrace_ready{kind="source",id="shop"}': 1,
    };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, samples.get(name)]))).toEqual(expected);
    expect(markers.filter(({ subject }) => subject === "meta.shop.poison")).toHaveLength(1);
    await waitFor(
      async () => {
        const now = await scrape();
        const saves = saved(); // each was stored before it was counted
        return (
          now.get('millrace_checkpoints_saved_total{source="shop"}') === saves &&
          now.get('millrace_source_acknowledged_total{source="shop"}') === saves
        );
      },
      { what: "each save to be counted, and acknowledged", timeoutMs },
    );
    expect(samples.get('millrace_source_heartbeat_seconds{source="shop"}')).toBeLessThan(5);

    const of = (event: string): readonly Record<string, unknown>[] => lines.filter((line) => line.event === event);
    expect(of("event_received")).toHaveLength(160);
    expect(of("event_received").find(({ automation: id }) => id === "ship")).toMatchObject({
      id: expect.stringMatching(/^shop\./),
      type: CREATED,
      source: "shop",
      attempt: 1,
      ageSeconds: expect.any(Number),
    });
    for (const line of of("event_received")) {
      expect(line.correlationId).toBe(line.automation === "note" ? "shop.began" : line.id);
    }
    const counts: Record<string, number> = {};
    for (const { outcome } of of("event_settled")) counts[String(outcome)] = (counts[String(outcome)] ?? 0) + 1;
    expect(counts).toEqual({ handled: 100, skipped: 10, retried: 30, dead: 20 });
    // What the handler itself put into the message of its error is logged as that, and a row's value nowhere else.
    const thrown = lines.filter(({ message }) => String(message).startsWith("cannot ship secret of"));
    expect(new Set(thrown.map((line) => line.event))).toEqual(
      new Set(["automation_retrying", "automation_dead_letter"]),
    );
    const others = lines.map((line) => (thrown.includes(line) ? { ...line, message: "" } : line));
    expect(JSON.stringify(others)).not.toContain("secret of");
  });

  test("says nothing of single events unless it is asked to", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    const orders = collection<{ id: number }>("shop", "public.orders");
    const ship = automation("ship", { on: orders.created(), start: "earliest" }, async () => {});
    const lines: string[] = [];
    const log = createLogger({ level: "info", pretty: false, write: (line) => void lines.push(line) });
    const sources = { shop: { kind: "postgres", url: database.url } };
    const worker = await startWorker({ sources, bus: { servers: nats.url }, automations: [ship] }, { log });
    onTestFinished(() => worker.stop());
    await waitFor(() => worker.status().ready, { what: "the worker to be ready" });
    await database.query("insert into orders values (1)");
    await waitFor(() => worker.status().automations[0]?.handled === 1, { what: "the event to be handled" });

    expect(lines.filter((line) => line.includes('"event_'))).toEqual([]);
  });
});
