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
 * What a handler is given. What few of them use is made when it is asked for; its getters are shared and stand on the
 * object itself: cheap to make, and a wrapper may spread it.
 */
export class Given implements HandlerContext<AnyEvent> {
  static readonly #getters: PropertyDescriptorMap & ThisType<Given> = {
    signal: {
      enumerable: true,
      get() {
        return this.#signal();
      },
    },
    log: {
      enumerable: true,
      get() {
        return this.#handlerLog();
      },
    },
    tx: {
      enumerable: true,
      get() {
        return this.#beginTx();
      },
    },
    [effects]: {
      enumerable: true,
      get() {
        return this.#effects();
      },
    },
  };
  readonly event: AnyEvent;
  readonly attempt: number;
  readonly run: string | undefined;
  readonly shadow: boolean;
  declare readonly signal: AbortSignal;
  declare readonly log: HandlerLog;
  declare readonly tx: RunTx<PgClient>;
  declare readonly [effects]: Effects;
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
    Object.defineProperties(this, Given.#getters);
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

  #beginTx(): RunTx<PgClient> {
    const { automation, database } = this.#context;
    this.#tx ??= new Tx(automation.id, database, this.#cause(), this.#shadow);
    const tx = this.#tx;
    return (work) => tx.run(work, this.#signal());
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

  #handlerLog(): HandlerLog {
    const { automation, log } = this.#context;
    const about = { automation: automation.id, id: this.event.id, attempt: this.attempt };
    const at =
      (level: keyof HandlerLog) =>
      (text: string, fields?: Readonly<Record<string, unknown>>): void =>
        log[level]("automation_log", { ...fields, ...about }, text);
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }
}
