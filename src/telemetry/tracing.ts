// OpenTelemetry's spans of what a worker does with an event: read, publish, handle. Only its API is used: which SDK records
// them, and where to, is up to who runs the worker. Where there is none, nothing here is made and nothing is called.

import type { Attributes, Context, Span, TimeInput } from "@opentelemetry/api";
import type { MessageTrace } from "../event/message.ts";
import { percentDecoded } from "../event/percent.ts";
import { traceParent } from "../event/trace-parent.ts";

type Api = typeof import("@opentelemetry/api");
type Tracer = ReturnType<Api["trace"]["getTracer"]>;

/** An event as it is given to a handler. */
interface Handled {
  readonly automation: string;
  /** From 1. */
  readonly attempt: number;
  readonly subject: string;
  header(name: string): string | undefined;
}

/** How a handler ended. @property error its name or code, and as much of its message as may be logged */
export interface HandledEnd {
  readonly outcome: "done" | "skipped" | "filtered" | "shadow" | "failed";
  readonly error?: { readonly type: string; readonly message: string | undefined };
}

/** The span of one attempt. */
export interface HandleSpan {
  /** Runs the handler with the span as the active one, so that what it calls joins the trace. */
  run<Result>(handler: () => Result): Result;
  /** What a transaction that is written now shall carry: of the span that is active, else of this one. */
  traceparent(): string | undefined;
  end(end: HandledEnd): void;
}

type Stored = { readonly committedAt: string | undefined; readonly trace?: MessageTrace };

/** @returns undefined where no SDK is registered, or the API is not installed */
export async function openTracing(version: string): Promise<Tracing | undefined> {
  let api: Api;
  try {
    api = await import("@opentelemetry/api");
  } catch (error) {
    if ((error as { code?: unknown }).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
  const tracer = api.trace.getTracer("millrace", version);
  // The API's own stand-in: it would make a span for each event that goes nowhere.
  return tracer instanceof api.ProxyTracer ? undefined : new Tracing(api, tracer);
}

export class Tracing {
  readonly #api: Api;
  readonly #tracer: Tracer;

  constructor(api: Api, tracer: Tracer) {
    this.#api = api;
    this.#tracer = tracer;
  }

  /** Begins the span of an attempt: a child of what the event says of its trace, else the beginning of one. */
  handle({ automation, attempt, subject, header }: Handled): HandleSpan {
    const api = this.#api;
    const lane = subject.lastIndexOf(".");
    const span = this.#tracer.startSpan(
      `handle ${automation}`,
      {
        kind: api.SpanKind.CONSUMER,
        attributes: {
          "messaging.system": "nats",
          "messaging.operation.name": "handle",
          "messaging.operation.type": "process",
          "messaging.destination.name": subject,
          "messaging.destination.template": subject.slice(0, lane),
          "messaging.destination.partition.id": subject.slice(lane + 1),
          "messaging.consumer.group.name": automation,
          ...eventAttributes(header),
          "millrace.attempt": attempt,
        },
      },
      this.#under(header("traceparent")),
    );
    const active = api.trace.setSpan(api.ROOT_CONTEXT, span);
    return {
      run: (handler) => api.context.with(active, handler),
      traceparent: () => textOf(api.trace.getActiveSpan() ?? span),
      end: ({ outcome, error }) => {
        span.setAttribute("millrace.outcome", outcome);
        if (error !== undefined) {
          const { type, message } = error;
          span.setAttribute("error.type", type);
          span.setStatus({ code: api.SpanStatusCode.ERROR, ...(message !== undefined && { message }) });
        }
        span.end();
      },
    };
  }

  /**
   * What a batch that is stored now holds: one span for its reading and one for its publishing, for each transaction in it that
   * says which trace it belongs to. All others cost nothing.
   */
  stored(source: string, stream: string, messages: readonly Stored[]): void {
    let traced: Map<string, { readonly first: Stored & { readonly trace: MessageTrace }; count: number }> | undefined;
    for (const message of messages) {
      const { trace, committedAt } = message;
      if (trace === undefined) continue;
      traced ??= new Map();
      const key = `${trace.parent} ${committedAt}`;
      const known = traced.get(key);
      if (known) known.count++;
      else traced.set(key, { first: { ...message, trace }, count: 1 });
    }
    for (const { first, count } of traced?.values() ?? []) {
      const { parent, readAt } = first.trace;
      const committed = Date.parse(first.committedAt ?? "");
      const from = Number.isNaN(committed) ? readAt : Math.min(committed, readAt); // the database's clock is another one
      const { INTERNAL, PRODUCER } = this.#api.SpanKind;
      const about = { "messaging.batch.message_count": count, "millrace.source": source };
      this.#past(`read ${source}`, INTERNAL, parent, from, readAt, about);
      this.#past(`publish ${stream}`, PRODUCER, parent, readAt, Date.now(), {
        "messaging.system": "nats",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": stream,
        ...about,
      });
    }
  }

  /** So that the spans of a worker's last moments leave with it. Never rejects. */
  async flush(): Promise<void> {
    const provider = this.#api.trace.getTracerProvider() as Flushable & { getDelegate?(): Flushable };
    const flushable = provider.getDelegate?.() ?? provider;
    await flushable.forceFlush?.().catch(() => {});
  }

  #past(name: string, kind: number, parent: string, from: TimeInput, to: TimeInput, attributes: Attributes): void {
    this.#tracer.startSpan(name, { kind, startTime: from, attributes }, this.#under(parent)).end(to);
  }

  #under(parent: string | undefined): Context {
    const { trace, ROOT_CONTEXT } = this.#api;
    const known = traceParent(parent === undefined ? undefined : percentDecoded(parent));
    if (known === undefined) return ROOT_CONTEXT;
    const [, traceId = "", spanId = "", flags = "00"] = known.split("-");
    return trace.setSpanContext(ROOT_CONTEXT, {
      traceId,
      spanId,
      traceFlags: Number.parseInt(flags, 16),
      isRemote: true,
    });
  }
}

interface Flushable {
  forceFlush?(): Promise<void>;
}

/** Of the envelope, never of the row: the subject of an event has its key. */
function eventAttributes(header: Handled["header"]): Attributes {
  const text = (name: string): string => percentDecoded(header(name) ?? "");
  const id = text("ce-id");
  return {
    "messaging.message.id": id,
    "messaging.message.conversation_id": text("ce-correlationid") || id,
    "cloudevents.event_id": id,
    "cloudevents.event_source": text("ce-source"),
    "cloudevents.event_type": text("ce-type"),
  };
}

function textOf(span: Span): string | undefined {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return traceParent(`00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`);
}
