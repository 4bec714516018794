// Looks on while the product's own code delivers: what it logs of each event, and what handlers throw and emit.

import type { Automation, Handler } from "../automation/define/automation.ts";
import type { AnyEvent } from "../automation/define/trigger.ts";
import type { Endpoints } from "../automation/outcome/sending.ts";
import type { WouldBe } from "../automation/outcome/shadow.ts";
import { lineageBehind } from "../automation/tx/tx.ts";
import type { CarriedLineage } from "../event/lineage.ts";
import type { SourceId } from "../event/source-id.ts";
import type { EventParts } from "../outbox/entry.ts";
import type { Logger, LogLevel } from "../telemetry/logger.ts";
import type { Pace } from "./pace.ts";
import { type HandlersClient, RecordingClient } from "./recording-client.ts";
import type { EmittedEvent, LoggedLine, Outcome, SentMessage, Statement, ThrownError } from "./result.ts";
import type { Envelope } from "./written-events.ts";

type Fields = Readonly<Record<string, unknown>>;
type Context = Parameters<Handler<AnyEvent>>[0];

interface Seen {
  outcome: Outcome["outcome"];
  attempts: number;
  reason?: string;
  error?: NonNullable<Outcome["error"]>;
  wouldBe?: WouldBe;
  readonly waits: number[];
}

export interface ObservedOptions {
  readonly pace: Pace;
  /** What the work of a tx is given; undefined where it is the transaction itself. */
  readonly client: HandlersClient | undefined;
  readonly envelopes: ReadonlyMap<string, Envelope>;
}

const outcomes: Readonly<Record<string, Outcome["outcome"]>> = {
  ...{ handled: "done", done: "done", skipped: "skipped", filtered: "filtered", dead: "dead" },
  ...{ shadow: "shadow" },
};

export class Observed {
  readonly emitted: EmittedEvent[] = [];
  readonly sent: SentMessage[] = [];
  /** Takes each message, and sends none. */
  readonly reach: Endpoints = {
    send: async ({ endpoint, message, automation, event }) =>
      void this.sent.push({ endpoint, message, automation, event: event.id }),
  };
  readonly logs: LoggedLine[] = [];
  readonly errors: ThrownError[] = [];
  readonly statements: Statement[] = [];
  readonly log: Logger;
  readonly #options: ObservedOptions;
  #beganMs: number | undefined;
  #endedMs = 0;
  /** By automation and event. */
  readonly #seen = new Map<string, Seen>();
  /** The event's id by automation, source and sequence. */
  readonly #places = new Map<string, string>();

  constructor(options: ObservedOptions) {
    this.#options = options;
    const at =
      (level: LogLevel): Logger["info"] =>
      (event, fields = {}, text = "") =>
        this.#logged(level, event, fields, text);
    this.log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  /** From the first handler, or outcome, to the last outcome. */
  get passedMs(): number {
    return this.#beganMs === undefined ? 0 : Math.round(this.#endedMs - this.#beganMs);
  }

  /** @param ids in the order in which they were given */
  outcomes(automations: readonly Automation[], ids: readonly string[]): readonly Outcome[] {
    return automations.flatMap(({ id: automation }) =>
      ids.map((event, nth): Outcome => {
        const {
          outcome = "undelivered",
          attempts = 0,
          waits = [],
          reason,
          error,
          wouldBe,
        } = this.#seen.get(`${automation} ${event}`) ?? {};
        return {
          ...{ automation, event, nth, outcome, attempts, waits: [...waits] },
          ...(reason !== undefined && { reason }),
          ...(error !== undefined && { error }),
          ...(wouldBe !== undefined && { wouldBe }),
        };
      }),
    );
  }

  /** The same automation, whose handler and filter are looked on. */
  watched(automation: Automation): Automation {
    const { id, handler, filter } = automation;
    return Object.freeze({
      ...automation,
      db: undefined,
      handler: (context: Context) => this.#watch(id, context.event.id, () => handler(this.#context(id, context))),
      filter: filter && ((context) => this.#watch(id, context.event.id, () => filter(context))),
    } satisfies Automation);
  }

  #watch<Returned>(
    automation: string,
    event: string,
    call: () => Returned | Promise<Returned>,
  ): Returned | Promise<Returned> {
    const ended = this.#options.pace.handlerStarted();
    const threw = (error: unknown): void => {
      this.errors.push({ automation, event, attempt: this.#of(automation, event).attempts, error });
      ended();
    };
    try {
      const returned = call();
      if (typeof returned !== "object" || returned === null || !("then" in returned)) {
        ended();
        return returned;
      }
      // Once only: a query of drizzle's begins when it is waited for.
      const result = Promise.resolve(returned);
      result.then(ended, threw);
      return result;
    } catch (error) {
      threw(error);
      throw error;
    }
  }

  /** What the handler is given, and its tx looked on; each getter asks only when it is asked. */
  #context(automation: string, given: Context): Context {
    const context = {} as Context;
    for (const name of Reflect.ownKeys(given) as (keyof Context)[]) {
      const get = name === "tx" ? () => this.#tx(automation, given) : () => given[name];
      Object.defineProperty(context, name, { get, enumerable: true });
    }
    return context;
  }

  #tx(automation: string, given: Context): Context["tx"] {
    const run = given.tx;
    const { client, pace } = this.#options;
    return async (work) => {
      const emitted: EmittedEvent[] = [];
      const recording = client === "recording" ? new RecordingClient(automation) : undefined;
      const answered = client === undefined ? pace.databaseAsked() : undefined;
      try {
        const result = await run(async (context) => {
          const emit = async (type: string, event: EventParts): Promise<string> => {
            const id = await context.emit(type, event);
            emitted.push(this.#emitted(automation, given.event, type, { ...event, id }));
            return id;
          };
          const own = recording?.client ?? (client === undefined ? context.client : client);
          return await work({ client: own as typeof context.client, emit });
        });
        if (given.shadow) return result; // nothing of it was committed
        this.emitted.push(...emitted);
        this.statements.push(...(recording?.statements ?? []));
        return result;
      } finally {
        answered?.();
      }
    };
  }

  #emitted(automation: string, { id: cause }: AnyEvent, type: string, event: EventParts): EmittedEvent {
    const { key, data, headers = {} } = event;
    const { source = "", subject = "", lineage } = this.#options.envelopes.get(cause) ?? {};
    const { correlationId, causationId, ...proven } = lineageBehind(
      { id: cause, source, subject, lineage },
      automation,
    );
    const carried: CarriedLineage = { correlationId, causationId, proven };
    return {
      ...{ given: "domain", automation, cause, type, key: String(key), data, headers, event, lineage: carried },
      source: sourceOf(source),
    };
  }

  #logged(level: LogLevel, event: string, fields: Fields, text: string): void {
    const { automation, id, attempt } = fields as { automation: string; id: string; attempt: number };
    if (event === "event_received" || event === "event_settled") {
      this.#endedMs = this.#options.pace.clock.now();
      this.#beganMs ??= this.#endedMs;
    }
    if (event === "automation_log") {
      const { automation: _a, id: _i, attempt: _n, ...own } = fields;
      this.logs.push({ level, text, fields: own, automation, event: id, attempt });
    } else if (event === "event_received") {
      this.#of(automation, id).attempts = attempt;
    } else if (event === "automation_retrying") {
      this.#of(automation, id).waits.push(Number(fields.delayMs));
    } else if (event === "automation_skipped") {
      this.#of(automation, id).reason = String(fields.reason);
    } else if (event === "automation_shadow") {
      const { would, effects, more, reason } = fields as unknown as WouldBe & { readonly reason?: string };
      const seen = this.#of(automation, id);
      seen.wouldBe = { would, effects, ...(more !== undefined && { more }) };
      if (reason !== undefined) seen.reason = reason;
    } else if (event === "event_settled") {
      this.#places.set(`${automation} ${fields.source} ${fields.sequence}`, id);
      const outcome = outcomes[String(fields.outcome)];
      if (outcome === undefined) return; // it comes again
      const seen = this.#of(automation, id);
      seen.outcome = outcome;
      if (fields.reason !== undefined) seen.reason = String(fields.reason);
    } else if (event === "automation_dead_letter" || event === "automation_shadow_failed") {
      const seen = this.#of(automation, this.#places.get(`${automation} ${fields.source} ${fields.sequence}`) ?? "");
      seen.attempts = Number(fields.attempts);
      seen.error = errorOf(fields);
      if (event === "automation_shadow_failed") seen.wouldBe = { would: "dead", effects: [] };
    }
  }

  #of(automation: string, event: string): Seen {
    const key = `${automation} ${event}`;
    const seen = this.#seen.get(key) ?? { outcome: "undelivered", attempts: 0, waits: [] };
    this.#seen.set(key, seen);
    return seen;
  }
}

function errorOf({ error, message, code }: Fields): NonNullable<Outcome["error"]> {
  return {
    name: String(error),
    ...(message !== undefined && { message: String(message) }),
    ...(code !== undefined && { code: String(code) }),
  };
}

/** Of `ce-source`; undefined where the event is the worker's own. */
function sourceOf(source: string): SourceId | undefined {
  const id = source.slice(1);
  return id === "" || id.startsWith("_") ? undefined : (id as SourceId);
}
