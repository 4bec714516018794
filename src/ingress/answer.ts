// What a sender is answered.

import type { IncomingMessage, ServerResponse } from "node:http";

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly contentType?: string;
  readonly body: string;
}

/** Why a request is not taken: in the answer, and as a metric's label. Never anything of the request itself. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

export function refusalAnswer({ status, reason, headers }: Refusal): Answer {
  return { status, ...(headers ? { headers } : {}), body: JSON.stringify({ status: "refused", reason }) };
}

/** @param ms in which it may be tried again */
export function retryAfter(ms: number): Readonly<Record<string, string>> {
  return { "retry-after": String(Math.max(1, Math.ceil(ms / 1000))) };
}

/** What of a refused body is still read, so that its sender gets to read the answer. */
const LINGER_BYTES = 1024 * 1024;
const LINGER_MS = 1000;

/** @param last closes the connection behind it */
export function send(request: IncomingMessage, response: ServerResponse, answer: Answer, last: boolean): void {
  if (response.headersSent || response.destroyed) return;
  const { status, headers = {}, contentType = "application/json" } = answer;
  const body = Buffer.from(answer.body);
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": body.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(last || !request.complete ? { connection: "close" } : {}),
    ...headers,
  });
  if (request.complete) {
    response.end(body);
    return;
  }
  // Closed with bytes unread, the kernel would reset the connection, and the sender never see why.
  response.write(body);
  let bytes = 0;
  const end = (): void => {
    clearTimeout(timer);
    request.pause();
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  request.on("end", end).on("close", end).on("error", end);
  request.on("data", ({ length }: Buffer) => {
    bytes += length;
    if (bytes > LINGER_BYTES) end();
  });
}
