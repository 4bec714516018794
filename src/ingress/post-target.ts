// `POST /events/<aggregate>.<name>`: a typed event of the application's own, or of a script.

import { createHash, randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import { toError } from "../errors.ts";
import { postedEvent } from "../event/posted-event.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Answer, Refusal } from "./answer.ts";
import type { DataCheck } from "./data-check.ts";
import type { IncomingRequest } from "./provider/provider.ts";
import { checkToken } from "./provider/verify/token.ts";
import { acknowledged, type Target, type ToStore } from "./target.ts";

const MAX_BYTES = 1024 * 1024;
const MAX_KEY_LENGTH = 255;

export interface PostTargetOptions {
  readonly type: string;
  readonly check: DataCheck;
  readonly tokens: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

export class PostTarget implements Target {
  readonly name = "_post";
  readonly maxBytes: number = MAX_BYTES;
  readonly overLimit = 429;
  readonly allow = "POST";
  readonly #options: PostTargetOptions;

  constructor(options: PostTargetOptions) {
    this.#options = options;
  }

  admit(request: IncomingRequest): Refusal | undefined {
    const refusal = checkToken({ provider: "bearer", bearer: this.#options.tokens }, request, false);
    if (refusal !== undefined) return { status: refusal.status, reason: refusal.reason };
    const types = request.headers.get("content-type") ?? [];
    if (types.length > 1 || types.some((type) => !/^application\/(json|[^/;\s]+\+json)\s*(;|$)/i.test(type)))
      return { status: 415, reason: "media" };
    const keys = request.headers.get("idempotency-key") ?? [];
    if (keys.length > 1 || keys.some((key) => key === "" || key.length > MAX_KEY_LENGTH))
      return { status: 400, reason: "idempotency-key" };
    return undefined;
  }

  async take({ headers, body }: IncomingRequest): Promise<Refusal | ToStore> {
    const { type, clock } = this.#options;
    const data = parsed(body);
    if (data === undefined) return { status: 400, reason: "body" };
    if (!(await this.#fits(data.value))) return { status: 422, reason: "schema" };
    const key = headers.get("idempotency-key")?.[0];
    const time = new Date(clock.wall()).toISOString();
    const event = postedEvent(type, key === undefined ? randomUUID() : sha256(key), body, time);
    const note = sha256(body);
    return {
      incoming: [{ event, keys: [{ key: `_post.${event.id}`, note }] }],
      answer: (stored): Answer | Refusal =>
        stored.status === "duplicate" && stored.notes.some((known) => known !== note)
          ? { status: 422, reason: "idempotency-key" } // it is another request that has the key
          : acknowledged(stored),
    };
  }

  async #fits(data: unknown): Promise<boolean> {
    const { type, check, log } = this.#options;
    try {
      return await check(data);
    } catch (thrown) {
      // The message may quote the data.
      log.error(
        "event_schema_failed",
        { type, error: toError(thrown).name },
        "a schema must not throw: let it return issues",
      );
      return false;
    }
  }
}

/** Undefined where it is no JSON. */
function parsed(body: Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body)) };
  } catch {
    return undefined;
  }
}

function sha256(of: Buffer | string): string {
  return createHash("sha256").update(of).digest("hex");
}
