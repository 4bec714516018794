// Stands between the DynamoDB source and a server, request by request: a source without a lasting connection notices only requests that break.

import {
  Agent,
  createServer,
  type IncomingMessage,
  request as requestOf,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

export class HttpGate implements AsyncDisposable {
  readonly #target: URL;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server: Server;
  #breaks = 0;
  /** Of answers, bodies alone. */
  bytesDown = 0;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((request, response) => this.#pass(request, response));
  }

  static async start(target: string): Promise<HttpGate> {
    const gate = new HttpGate(target);
    await new Promise<void>((resolve) => gate.#server.listen(0, "127.0.0.1", resolve));
    return gate;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next so many GetRecords end without an answer. */
  break(requests: number): void {
    this.#breaks = requests;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    if (this.#breaks > 0 && String(request.headers["x-amz-target"]).endsWith(".GetRecords")) {
      this.#breaks--;
      request.socket.destroy();
      return;
    }
    const { method, headers, url } = request;
    const { hostname, port } = this.#target;
    const passed = requestOf({ agent: this.#agent, hostname, port, method, headers, path: url }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on("data", (part: Buffer) => {
        this.bytesDown += part.length;
      });
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    request.pipe(passed);
  }
}
