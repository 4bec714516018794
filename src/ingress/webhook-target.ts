// `POST /in/<receiver>`: a webhook, verified by its provider's rules.

import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { webhookEvent } from "../event/webhook-event.ts";
import { type Answer, type Refusal, retryAfter } from "./answer.ts";
import type { Arrived, IncomingRequest, Receiver, Verdict } from "./provider/provider.ts";
import { RateLimit } from "./rate-limit.ts";
import type { Incoming } from "./store.ts";
import { acknowledged, type Target, type ToStore } from "./target.ts";

export class WebhookTarget implements Target {
  readonly name: string;
  readonly maxBytes: number;
  readonly overLimit: 429 | 503;
  readonly allow: string;
  readonly options?: (request: IncomingRequest) => Answer | Refusal;
  readonly #receiver: Receiver;
  readonly #clock: Clock;
  readonly #rate: RateLimit | undefined;

  constructor(receiver: Receiver, clock: Clock) {
    const { name, maxBytes, overLimit, options, rate } = receiver;
    this.name = name;
    this.maxBytes = maxBytes;
    this.overLimit = overLimit;
    this.allow = options === undefined ? "POST" : "POST, OPTIONS";
    this.#receiver = receiver;
    this.#clock = clock;
    this.#rate = rate && new RateLimit(rate, clock);
    if (options !== undefined) this.options = (request) => this.#answer(options.call(receiver, request), request);
  }

  admit({ headers }: IncomingRequest): Refusal | undefined {
    const types = headers.get("content-type") ?? [];
    // A doubled one is nobody's word; that is said to who is verified.
    const one = types.length === 1 ? types[0] : undefined;
    return this.#receiver.acceptsMedia(one) ? undefined : { status: 415, reason: "media" };
  }

  take(request: IncomingRequest): Answer | Refusal | ToStore {
    const verdict = this.#receiver.judge(request, this.#clock.wall());
    if (verdict.kind !== "events") return this.#answer(verdict, request);
    // Only what is verified uses up the receiver's own rate: who cannot sign cannot shut out who can.
    const waitMs = this.#rate?.take(this.name) ?? 0;
    if (waitMs > 0) return { status: this.overLimit, reason: "rate", headers: retryAfter(waitMs) };
    return { incoming: this.#incoming(verdict.events, request), answer: acknowledged };
  }

  #answer(verdict: Verdict, request: IncomingRequest): Answer | Refusal | never {
    if (verdict.kind === "refused") return { status: verdict.status, reason: verdict.reason };
    if (verdict.kind === "answer") return verdict;
    throw new TypeError(`${this.name} has events for ${request.method}`);
  }

  #incoming(events: readonly Arrived[], { body }: IncomingRequest): readonly Incoming[] {
    const hash = sha256(body);
    const time = new Date(this.#clock.wall()).toISOString();
    return events.map(({ id, ...arrived }, nth) => {
      // Several without an id in one body are not one event.
      const own = events.length > 1 ? `${hash}.${nth}` : hash;
      const event = webhookEvent({ ...arrived, receiver: this.name, id: id ?? own, time });
      const guard = this.#receiver.replayGuard ? [{ key: `_body.${this.name}.${own}` }] : [];
      return { event, keys: [{ key: event.id }, ...guard] };
    });
  }
}

function sha256(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}
