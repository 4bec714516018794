// Spans as OpenTelemetry's own SDK records them, and which trace an event goes on with.

import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { carriedLineage, lineageText } from "../../../src/event/lineage.ts";
import { traceParent } from "../../../src/event/trace-parent.ts";
import { type HandleSpan, openTracing, type Tracing } from "../../../src/telemetry/tracing.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const parent = `00-${TRACE}-b7ad6b7169203331-01`;
const headers: Readonly<Record<string, string>> = {
  "ce-id": "shop.1",
  "ce-source": "/shop",
  "ce-type": "shop.public.b%C3%BCcher.created",
  "ce-subject": "public.orders/secret-key",
  traceparent: parent,
};

function record(): InMemorySpanExporter {
  const exporter = new InMemorySpanExporter();
  new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
  return exporter;
}

async function opened(): Promise<Tracing> {
  return (await openTracing("1.2.3")) ?? expect.unreachable("an SDK is registered");
}

function handle(tracing: Tracing, given: Readonly<Record<string, string>> = headers): HandleSpan {
  const subject = "cdc.shop.public.orders.created.p07";
  return tracing.handle({ automation: "mail", attempt: 2, subject, header: (name) => given[name] });
}

afterEach(() => {
  trace.disable();
  context.disable();
});

test("no span is made where no SDK is registered", async () => {
  expect(await openTracing("1.2.3")).toBeUndefined();
});

describe("the span of a handler", () => {
  test("continues the event's trace, and says what is handled by whom, and nothing of the row or its key", async () => {
    const exporter = record();
    handle(await opened()).end({ outcome: "done" });
    const [span] = exporter.getFinishedSpans();

    expect(span).toMatchObject({
      name: "handle mail",
      kind: SpanKind.CONSUMER,
      status: { code: SpanStatusCode.UNSET },
    });
    expect(span?.parentSpanContext).toMatchObject({ traceId: TRACE, spanId: "b7ad6b7169203331", isRemote: true });
    expect(span?.instrumentationScope).toMatchObject({ name: "millrace", version: "1.2.3" });
    expect(span?.attributes).toEqual({
      "messaging.system": "nats",
      "messaging.operation.name": "handle",
      "messaging.operation.type": "process",
      "messaging.destination.name": "cdc.shop.public.orders.created.p07",
      "messaging.destination.template": "cdc.shop.public.orders.created",
      "messaging.destination.partition.id": "p07",
      "messaging.consumer.group.name": "mail",
      "messaging.message.id": "shop.1",
      "messaging.message.conversation_id": "shop.1",
      "cloudevents.event_id": "shop.1",
      "cloudevents.event_source": "/shop",
      "cloudevents.event_type": "shop.public.bücher.created",
      "millrace.attempt": 2,
      "millrace.outcome": "done",
    });
  });

  test("begins a trace where the event says of none, or of what is none", async () => {
    const exporter = record();
    const tracing = await opened();
    const { traceparent: _, ...without } = headers;
    handle(tracing, without).end({ outcome: "skipped" });
    handle(tracing, { ...headers, traceparent: "00-0-0-00" }).end({ outcome: "skipped" });

    expect(exporter.getFinishedSpans().map(({ parentSpanContext }) => parentSpanContext)).toEqual([
      undefined,
      undefined,
    ]);
  });

  test("is no span of a trace that its beginner did not sample, and passes that on", async () => {
    const exporter = record();
    const span = handle(await opened(), { ...headers, traceparent: `${parent.slice(0, -2)}00` });

    expect(span.traceparent()).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    span.end({ outcome: "done" });
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  test("is active while the handler runs, and over an await, so that a transaction carries the span that writes it", async () => {
    const exporter = record();
    const span = handle(await opened());
    const carried: (string | undefined)[] = [];
    await span.run(async () => {
      await Promise.resolve();
      await trace.getTracer("mine").startActiveSpan("my own", async (own) => {
        await Promise.resolve();
        carried.push(span.traceparent());
        own.end();
      });
      carried.push(span.traceparent());
    });
    span.end({ outcome: "done" });
    const [own, handled] = exporter.getFinishedSpans();

    expect(own?.parentSpanContext?.spanId).toBe(handled?.spanContext().spanId);
    expect(carried).toEqual([own, handled].map((of) => `00-${TRACE}-${of?.spanContext().spanId}-01`));
    expect(trace.getActiveSpan()).toBeUndefined();
  });

  test("of a failed attempt is an error with the error's code", async () => {
    const exporter = record();
    const tracing = await opened();
    handle(tracing).end({ outcome: "failed", error: { type: "AUTOMATION_TIMEOUT", message: "took too long" } });
    handle(tracing).end({ outcome: "failed", error: { type: "TypeError", message: undefined } });

    expect(exporter.getFinishedSpans().map(({ status, attributes }) => [status, attributes["error.type"]])).toEqual([
      [{ code: SpanStatusCode.ERROR, message: "took too long" }, "AUTOMATION_TIMEOUT"],
      [{ code: SpanStatusCode.ERROR }, "TypeError"],
    ]);
  });
});

test("a stored batch gives a span for reading and one for publishing of each transaction that is traced, and none for others", async () => {
  const exporter = record();
  const committedAt = "2026-01-01T00:00:00.000000Z";
  const readAt = Date.parse("2026-01-01T00:00:01Z");
  const other = parent.replace("b7ad", "aaaa");
  const tracing = await opened();
  tracing.stored("shop", "CDC_SHOP", [
    { committedAt },
    { committedAt, trace: { parent, readAt } },
    { committedAt, trace: { parent, readAt } },
    { committedAt, trace: { parent: other, readAt } },
    { committedAt: undefined },
  ]);
  tracing.stored("shop", "CDC_SHOP", [{ committedAt }]);
  const spans = exporter.getFinishedSpans();

  expect(spans.map(({ name, kind, attributes }) => [name, kind, attributes["messaging.batch.message_count"]])).toEqual([
    ["read shop", SpanKind.INTERNAL, 2],
    ["publish CDC_SHOP", SpanKind.PRODUCER, 2],
    ["read shop", SpanKind.INTERNAL, 1],
    ["publish CDC_SHOP", SpanKind.PRODUCER, 1],
  ]);
  expect(spans[0]).toMatchObject({ startTime: [1767225600, 0], endTime: [1767225601, 0] });
  expect(spans[1]?.startTime).toEqual([1767225601, 0]);
  expect(spans.map(({ parentSpanContext }) => parentSpanContext?.spanId.slice(0, 4))).toEqual([
    "b7ad",
    "b7ad",
    "aaaa",
    "aaaa",
  ]);
});

test("what is recorded has left before flush resolves, and a collector that is away does not end the worker", async () => {
  const provider = new NodeTracerProvider({
    spanProcessors: [
      { forceFlush: () => Promise.reject(new Error("away")), onStart() {}, onEnd() {}, shutdown: async () => {} },
    ],
  });
  provider.register();
  onTestFinished(() => provider.shutdown());

  await expect((await opened()).flush()).resolves.toBeUndefined();
});

test.each([
  [parent, parent],
  [`01${parent.slice(2)}-what-is-to-come`, `01${parent.slice(2)}`],
  [parent.replace("00-", "ff-"), undefined],
  [`00-${"0".repeat(32)}-b7ad6b7169203331-01`, undefined],
  [`00-${TRACE}-${"0".repeat(16)}-01`, undefined],
  [parent.toUpperCase(), undefined],
  [`${parent}\r\nce-id: forged`, undefined],
  [42, undefined],
])("of %j a trace goes on with %j", (text, expected) => {
  expect(traceParent(text)).toBe(expected);
});

describe("lineage", () => {
  const said = { correlationId: "a", causationId: "b", hops: 1, automation: "mail", trail: [] };
  const seal = { key: "k", transaction: "7" };

  test("carries a trace, sealed or not, beside what is proven", () => {
    const proven = { hops: 1, automation: "mail", trail: [] };
    const carried = { correlationId: "a", causationId: "b", traceparent: parent };

    expect(carriedLineage(lineageText({ ...said, traceparent: parent }, seal), seal)).toEqual({ ...carried, proven });
    expect(carriedLineage(lineageText({ ...said, traceparent: parent }), seal)).toEqual({
      ...carried,
      proven: undefined,
    });
  });

  test("that a worker without traces writes, or reads, is proven all the same", () => {
    const { traceparent: _, ...asBefore } = JSON.parse(lineageText({ ...said, traceparent: parent }, seal));

    expect(JSON.stringify(asBefore)).toBe(lineageText(said, seal));
  });

  test("goes without a trace that is none", () => {
    expect(lineageText({ ...said, traceparent: "x\r\ny" }, seal)).toBe(lineageText(said, seal));
    expect(carriedLineage(JSON.stringify({ ...said, traceparent: { a: 1 } }), seal)).not.toHaveProperty("traceparent");
  });
});
