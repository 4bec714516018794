// An HTTP server that a test sends to: it keeps what comes, and answers as the test says.

import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Hit {
  readonly at: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** From 1: how often a message of this `webhook-id` has come to this path. */
  readonly nth: number;
}

export interface TestReceiver extends AsyncDisposable {
  readonly port: number;
  readonly hits: Hit[];
  url(path: string): string;
  at(path: string): readonly Hit[];
}

/** @param answer default: 204 */
export async function receive(answer: (hit: Hit, response: ServerResponse) => void = noContent): Promise<TestReceiver> {
  const hits: Hit[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("error", () => {});
    response.on("error", () => {});
    request.on("end", () => {
      const path = request.url ?? "";
      const id = request.headers["webhook-id"];
      const nth = 1 + hits.filter((one) => one.path === path && one.headers["webhook-id"] === id).length;
      const hit = { at: Date.now(), path, headers: request.headers, body: Buffer.concat(parts).toString(), nth };
      hits.push(hit);
      answer(hit, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    hits,
    url: (path) => `http://127.0.0.1:${port}${path}`,
    at: (path) => hits.filter((hit) => hit.path === path),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function noContent(_: Hit, response: ServerResponse): void {
  response.writeHead(204).end();
}
