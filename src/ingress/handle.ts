// One request, in the order that is never changed: limits, the raw bytes, verified, handshake or stored, and only then 2xx.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../clock.ts";
import { MillraceError, toError } from "../errors.ts";
import type { IngressMetrics } from "../telemetry/ingress-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Answer, type Refusal, refusalAnswer, retryAfter, send } from "./answer.ts";
import { type ByteBudget, readBody } from "./body.ts";
import type { IncomingRequest } from "./provider/provider.ts";
import { addressKey, type RateLimit } from "./rate-limit.ts";
import { incomingRequest, targetOf } from "./requests.ts";
import { type StoreOptions, store } from "./store.ts";
import { isRefusal, type Target, type ToStore } from "./target.ts";

export interface HandleOptions extends StoreOptions {
  /** What a path leads to. */
  targetAt(path: string): Target | undefined;
  readonly addresses: RateLimit;
  readonly budget: ByteBudget;
  readonly metrics: IngressMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** So many headers has no sender; a receiver's own would be looked for among them. */
const MAX_HEADERS = 200;
/** When a sender is to come again while the bus is away. */
const BUS_AGAIN_MS = 5000;
const BUSY_AGAIN_MS = 1000;
/** Paths that lead nowhere are of no receiver. */
const NOWHERE = "";

export class Handler {
  readonly #options: HandleOptions;
  /** Whether the last event could not be stored: that is told once. */
  #away = false;

  constructor(options: HandleOptions) {
    this.#options = options;
  }

  /**
   * Answers a request; never rejects.
   * @param last whether the connection ends with it, asked when it is answered
   * @param begin asks for the body, where its sender waits for that
   */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    { last, begin }: { last(): boolean; begin?(): void },
  ): Promise<void> {
    const { metrics, log, targetAt } = this.#options;
    const target = targetAt(targetOf(request.url ?? "").path);
    const receiver = target?.name ?? NOWHERE;
    try {
      const result = await this.#resultOf(request, target, begin);
      if (result === undefined) return metrics.refused(receiver, "broken-off");
      if (isRefusal(result)) metrics.refused(receiver, result.reason);
      else metrics.answered(receiver, result.outcome);
      send(request, response, isRefusal(result) ? refusalAnswer(result) : result, last());
    } catch (error) {
      metrics.refused(receiver, "error");
      log.error("ingress_failed", { receiver, error: toError(error) });
      send(request, response, refusalAnswer({ status: 500, reason: "error" }), true);
    }
  }

  /** Undefined where the sender has left. */
  async #resultOf(
    request: IncomingMessage,
    target: Target | undefined,
    begin: (() => void) | undefined,
  ): Promise<Result | undefined> {
    const limit = this.#overLimit(request, target);
    if (limit !== undefined) return limit;
    if (target === undefined) return { status: 404, reason: "path" };
    const asked = incomingRequest(request);
    if (asked.method === "OPTIONS" && target.options !== undefined) return told(target.options(asked), "handshake");
    const refusal = refusalByHead(asked, target);
    if (refusal !== undefined) return refusal;
    begin?.();
    const { budget } = this.#options;
    const read = await readBody(request, target.maxBytes, budget);
    if ("failed" in read) return unread(read.failed);
    let held: Promise<unknown> | undefined;
    try {
      const taken = await target.take({ ...asked, body: read.body });
      if (!("incoming" in taken)) return told(taken, "handshake");
      const { stored, settled } = store(taken.incoming, this.#options);
      held = settled;
      return await this.#answer(taken, stored);
    } finally {
      // The bus may still hold what was given up on.
      if (held === undefined) budget.release(read.held);
      else void held.then(() => budget.release(read.held));
    }
  }

  /** The cheapest first: nothing of the request is read for it. */
  #overLimit(request: IncomingMessage, target: Target | undefined): Refusal | undefined {
    const waitMs = this.#options.addresses.take(addressKey(request.socket.remoteAddress ?? ""));
    if (waitMs > 0) return { status: target?.overLimit ?? 429, reason: "address-rate", headers: retryAfter(waitMs) };
    return request.rawHeaders.length > 2 * MAX_HEADERS ? { status: 431, reason: "headers" } : undefined;
  }

  async #answer({ answer }: ToStore, stored: ReturnType<typeof store>["stored"]): Promise<Result> {
    try {
      const outcome = await stored;
      if (this.#away) this.#options.log.info("ingress_stores_again", {});
      this.#away = false;
      return told(answer(outcome), outcome.status);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      const { code, hint, message } = error;
      if (!this.#away) this.#options.log.warn("ingress_cannot_store", { code, hint }, message);
      this.#away = true;
      return { status: 503, reason: "bus", headers: retryAfter(BUS_AGAIN_MS) };
    }
  }
}

/** What can be said before the body is read. */
function refusalByHead(asked: IncomingRequest, target: Target): Refusal | undefined {
  const { method, headers } = asked;
  if (method !== "POST") return { status: 405, reason: "method", headers: { allow: target.allow } };
  const length = headers.get("content-length")?.[0];
  const transfer = headers.get("transfer-encoding");
  if (length === undefined && transfer === undefined) return { status: 411, reason: "length" };
  if (Number(length ?? 0) > target.maxBytes) return { status: 413, reason: "size" };
  const encodings = [...(headers.get("content-encoding") ?? []), ...(transfer ?? [])];
  if (encodings.some((encoding) => !/^(identity|chunked)$/i.test(encoding.trim())))
    return { status: 415, reason: "encoding" };
  return target.admit(asked);
}

type Outcome = Parameters<IngressMetrics["answered"]>[1];
type Result = Refusal | (Answer & { readonly outcome: Outcome });

function told(result: Answer | Refusal, outcome: Outcome): Result {
  return isRefusal(result) ? result : { ...result, outcome };
}

function unread(failed: "size" | "busy" | "broken-off"): Refusal | undefined {
  if (failed === "broken-off") return undefined;
  if (failed === "size") return { status: 413, reason: "size" };
  return { status: 503, reason: "busy", headers: retryAfter(BUSY_AGAIN_MS) };
}
