// What a handler is given: the event, what it may say of it, and what it does through us.

import { lineageOf } from "../../event/lineage.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import type { HandleSpan } from "../../telemetry/tracing.ts";
import type { HandlerContext, HandlerLog } from "../define/automation.ts";
import { type Effects, effects } from "../define/effects.ts";
import type { AnyEvent } from "../define/trigger.ts";
import { Fatal, Retry, type RetryOptions, skip } from "../outcome/outcome.ts";
import { Shadow } from "../outcome/shadow.ts";
import { inboxKey } from "../tx/inbox.ts";
import type { PgClient } from "../tx/transaction.ts";
import { type Cause, type RunTx, Tx } from "../tx/tx.ts";
import type { AutomationParts } from "./automation-parts.ts";
import type { Deadlines } from "./deadlines.ts";
import { ownEffects } from "./own-effects.ts";

export interface AttemptContext
  extends Pick<AutomationParts, "automation" | "clock" | "log" | "logErrors" | "database" | "reach" | "tracing"> {
  readonly deadlines: Deadlines;
  readonly metrics: Pick<AutomationParts["metrics"], "stray">;
  readonly bus: Pick<AutomationParts["bus"], "receive">;
}

const retry = (options: RetryOptions): Retry => new Retry(options);
const fatal = (reason: string): Fatal => new Fatal(reason);

/** Of the delivery, what the handler's effects are named by. */
export type Handled = Pick<StoredMessage, "header" | "subject"> & { readonly run?: string | undefined };

/**
 * What a handler is given. What few of them use is made when it is asked for. All of it stands on the object itself, for a
 * wrapper may spread it; as functions where it can be, for to put a getter on each object costs as much as to parse its event.
 */
export class Given implements HandlerContext<AnyEvent> {
  static readonly #signalOf: PropertyDescriptor & ThisType<Given> = {
    enumerable: true,
    get() {
      return this.#signal();
    },
  };
  readonly event: AnyEvent;
  readonly attempt: number;
  readonly run: string | undefined;
  readonly shadow: boolean;
  declare readonly signal: AbortSignal;
  readonly log: HandlerLog = {
    debug: (text, fields) => this.#say("debug", text, fields),
    info: (text, fields) => this.#say("info", text, fields),
    warn: (text, fields) => this.#say("warn", text, fields),
    error: (text, fields) => this.#say("error", text, fields),
  };
  readonly tx: RunTx<PgClient> = (work) => this.#beginTx().run(work, this.#signal());
  readonly [effects]: Effects = {
    publish: (event) => this.#effects().publish(event),
    send: (endpoint, message) => this.#effects().send(endpoint, message),
  };
  readonly skip: typeof skip = skip;
  readonly retry: typeof retry = retry;
  readonly fatal: typeof fatal = fatal;
  readonly #context: AttemptContext;
  readonly #message: Handled;
  readonly #span: HandleSpan | undefined;
  readonly #shadow: Shadow | undefined;
  #tx: Tx | undefined;
  #controller: AbortController | undefined;
  #aborted: Error | undefined;
  #uncaught: { readonly thrown: unknown } | undefined;
  #ended = false;

  constructor(
    context: AttemptContext,
    event: AnyEvent,
    attempt: number,
    message: Handled,
    span: HandleSpan | undefined,
  ) {
    this.#span = span;
    this.#context = context;
    this.#message = message;
    this.event = event;
    this.attempt = attempt;
    this.run = message.run;
    this.shadow = context.automation.shadow;
    this.#shadow = this.shadow ? new Shadow() : undefined;
    Object.defineProperty(this, "signal", Given.#signalOf);
  }

  static tx(given: Given): Tx | undefined {
    return given.#tx;
  }

  /** Where effects are taken down instead of made; undefined where they are made. */
  static inShadow(given: Given): Shadow | undefined {
    return given.#shadow;
  }

  /** Whether the handler still ran, and its attempt fails by this. */
  static fail(given: Given, thrown: unknown): boolean {
    if (given.#ended) return false;
    given.#uncaught ??= { thrown };
    return true;
  }

  /** What was uncaught while the handler ran. */
  static end(given: Given): { readonly thrown: unknown } | undefined {
    given.#ended = true;
    return given.#uncaught;
  }

  /** Whether its time is over. */
  static isOver(given: Given): boolean {
    return given.#aborted !== undefined;
  }

  static abort(given: Given, reason: Error): void {
    given.#aborted = reason;
    given.#controller?.abort(reason);
  }

  #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  #beginTx(): Tx {
    const { automation, database } = this.#context;
    this.#tx ??= new Tx(automation.id, database, this.#cause(), this.#shadow);
    return this.#tx;
  }

  #effects(): Effects {
    const { automation, bus, reach } = this.#context;
    const { event, run } = this;
    const attempt = { event, run, timeoutMs: automation.timeoutMs, signal: () => this.#signal() };
    return ownEffects(automation.id, { bus, reach }, this.#cause(), attempt, this.#shadow);
  }

  #cause(): Cause {
    const header = (name: string): string => this.#message.header(name) ?? "";
    const lineage = lineageOf(this.#message);
    const inbox = inboxKey(this.#message, this.event.id);
    const traceparent = this.#span?.traceparent();
    const [source, subject] = [header("ce-source"), header("ce-subject")];
    return { id: this.event.id, inbox, source, subject, lineage, traceparent };
  }

  #say(level: keyof HandlerLog, text: string, fields: Readonly<Record<string, unknown>> | undefined): void {
    const { automation, log } = this.#context;
    const about = { automation: automation.id, id: this.event.id, attempt: this.attempt };
    log[level]("automation_log", { ...fields, ...about }, text);
  }
}
