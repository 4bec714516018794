// One trace from an application's transaction through events and handlers to what they cause, as OpenTelemetry's SDK records it.

import { context, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { Client, Pool } from "pg";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { event } from "../../../src/automation/define/event-trigger.ts";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { outbox, writeLineage } from "../../../src/outbox.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const TRACES = ["0af7651916cd43dd8448eb211c80319c", "aaf7651916cd43dd8448eb211c80319c"] as const;
const parentOf = (id: string): string => `00-${id}-b7ad6b7169203331-01`;

describe.skipIf(missing("postgres", "nats"))("a trace", () => {
  const exporter = new InMemorySpanExporter();
  new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
  afterAll(() => {
    trace.disable();
    context.disable();
  });

  test("goes through an outbox' event, its handler's transaction, the changes and events of that, and their handlers", async () => {
    const nats = await freshNats();
    await using database = await freshDatabase();
    const pool = new Pool({ connectionString: database.url });
    pool.on("error", () => {});
    onTestFinished(() => pool.end());
    await database.query(
      `${migrationSql("outbox")}; ${migrationSql("inbox")}; create table item(id int primary key, note text)`,
    );
    const items = collection<{ id: number }>("shop", "public.item");
    let failures = 0;
    const worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.*"], outbox: true } },
      automations: [
        automation("order", { on: event("order.placed"), db: pool }, async ({ tx }) => {
          await trace.getTracer("mine").startActiveSpan("ask the warehouse", async (own) => {
            await Promise.resolve();
            own.end();
          });
          await tx(async ({ client, emit }) => {
            await client.query("insert into item values (1, 'by a handler')");
            await emit("item.packed", { key: "1", data: {} });
          });
        }),
        automation("row", { on: items.created(), retry: { min: 1, max: 2 } }, ({ event: { after } }) => {
          if (after.id === 1 && failures++ === 0) throw new TypeError("not yet");
        }),
        automation("packed", { on: event("item.packed") }, ({ skip }) => skip("nothing to do")),
      ],
    });
    onTestFinished(() => worker.stop());
    const all = (): boolean =>
      [...worker.status().sources, ...worker.status().automations].every(({ state }) => state === "running");
    await waitFor(all, { what: "sources and automations to run" });
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query("begin");
    await outbox(client).emit("order.placed", { key: "1", data: {}, headers: { traceparent: parentOf(TRACES[0]) } });
    await client.query("commit");
    await client.query("begin");
    const said = { correlationId: "a", causationId: "b", hops: 0, automation: "application", trail: [] };
    await writeLineage(client, { ...said, traceparent: parentOf(TRACES[1]) });
    await client.query("insert into item values (2, 'by an application')");
    await client.query("commit");
    await client.query("insert into item values (3, 'by nobody who is traced')");
    await client.end();

    const named = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);
    await waitFor(() => named("handle row").length === 4 && named("handle packed").length === 1, {
      what: "all handlers to have run",
    });
    await worker.stop();

    const spans = exporter.getFinishedSpans();
    const ids = new Map(spans.map((span) => [span.spanContext().spanId, span.name]));
    const shown = (traceId: string): readonly string[] =>
      spans
        .filter((span) => span.spanContext().traceId === traceId)
        .map((span) => `${ids.get(span.parentSpanContext?.spanId ?? "") ?? "the application"} > ${span.name}`)
        .sort();
    expect(shown(TRACES[0])).toEqual([
      "handle order > ask the warehouse",
      "handle order > handle packed",
      "handle order > handle row",
      "handle order > handle row",
      "handle order > publish CDC_SHOP",
      "handle order > read shop",
      "the application > handle order",
      "the application > publish CDC_SHOP",
      "the application > read shop",
    ]);
    expect(shown(TRACES[1])).toEqual([
      "the application > handle row",
      "the application > publish CDC_SHOP",
      "the application > read shop",
    ]);
    const untraced = spans.filter((span) => !TRACES.includes(span.spanContext().traceId as (typeof TRACES)[number]));
    expect(untraced.map(({ name }) => name)).toEqual(["handle row"]);
    const outcomes = (name: string): unknown =>
      named(name).map(({ attributes }) => [attributes["millrace.attempt"], attributes["millrace.outcome"]]);
    expect(outcomes("handle packed")).toEqual([[1, "skipped"]]);
    expect(outcomes("handle row")).toEqual(
      expect.arrayContaining([
        [1, "failed"],
        [2, "done"],
      ]),
    );
    const failed = named("handle row").find(({ attributes }) => attributes["millrace.outcome"] === "failed");
    expect(failed?.attributes["error.type"]).toBe("TypeError");
    expect(failed?.status.message ?? "").not.toContain("by a handler");
  });
});
