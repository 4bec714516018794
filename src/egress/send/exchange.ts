// One request and its answer, of which a bounded part is read. No redirect is followed: it would lead past what was configured.

import type { Agent } from "undici";
import { retryAfterMs } from "./retry-after.ts";

/** As much of an answer is read. */
export const MAX_ANSWER_BYTES: number = 64 * 1024;

export interface HttpRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  /** The first 64 KiB, as UTF-8. */
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

/** @param signal ends it; the answer's status counts once it is there, whatever becomes of the rest @throws what connecting or asking fails by */
export async function exchange(
  agent: Agent,
  asked: HttpRequest,
  signal: AbortSignal,
  now: () => number,
): Promise<Answer> {
  const { origin, pathname, search } = new URL(asked.url);
  const { statusCode, headers, body } = await agent.request({
    origin,
    path: `${pathname}${search}`,
    method: "POST",
    headers: { "accept-encoding": "identity", ...asked.headers },
    body: asked.body,
    signal,
  });
  body.on("error", () => {}); // it is ended early, also by us
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      parts.push(part.subarray(0, MAX_ANSWER_BYTES - bytes));
      bytes += part.length;
      if (bytes >= MAX_ANSWER_BYTES) break;
    }
  } catch {
    // What came before it broke off is what there is.
  }
  body.destroy();
  const after = headers["retry-after"];
  return {
    status: statusCode,
    text: Buffer.concat(parts).toString("utf8"),
    retryAfterMs: retryAfterMs(Array.isArray(after) ? after[0] : after, now()),
  };
}
