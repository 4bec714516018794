// A loopback TCP proxy that breaks connections in all the ways that networks do.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** `up`: towards the server; `down`: towards the client. */
export type Direction = "up" | "down";

/** Stands between a client and one server on loopback. A mode holds for open and for new connections, until `heal`. */
export class TcpProxy implements AsyncDisposable {
  readonly #target: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #holding = new Set<Direction>();
  #listener: Server;
  #delayMs = 0;
  #trickleBytes = Number.POSITIVE_INFINITY;
  #healed: PromiseWithResolvers = withResolvers();
  readonly port: number;

  private constructor(target: number, listener: Server, port: number) {
    this.#target = target;
    this.#listener = listener;
    this.port = port;
    listener.on("connection", (client) => this.#accept(client));
  }

  static async start(target: number): Promise<TcpProxy> {
    const listener = await listen(0);
    return new TcpProxy(target, listener, portOf(listener));
  }

  /** The same URL through the proxy. */
  url(direct: string): string {
    return direct.replace(`:${this.#target}`, `:${this.port}`);
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Resets every open connection. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  /** Connections stay open and nothing comes through; what was sent arrives once healed. */
  blackHole(...directions: readonly Direction[]): void {
    for (const direction of directions.length === 0 ? (["up", "down"] as const) : directions) {
      this.#holding.add(direction);
    }
  }

  /** Each chunk waits for so long. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Everything comes in pieces of so many bytes. */
  trickle(bytes: number): void {
    this.#trickleBytes = bytes;
  }

  /** Nobody listens any more; open connections stay. */
  async refuse(): Promise<void> {
    if (!this.#listener.listening) return;
    // Resolves only when the last connection has ended; the port is closed at once.
    this.#listener.close();
    await delay(0);
  }

  /** Back to an honest wire. */
  async heal(): Promise<void> {
    this.#delayMs = 0;
    this.#trickleBytes = Number.POSITIVE_INFINITY;
    this.#holding.clear();
    this.#healed.resolve();
    this.#healed = withResolvers();
    if (this.#listener.listening) return;
    this.#listener = await listen(this.port);
    this.#listener.on("connection", (client) => this.#accept(client));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    this.#holding.clear();
    this.#healed.resolve();
  }

  #accept(client: Socket): void {
    const server = connect({ host: "127.0.0.1", port: this.#target, noDelay: true });
    const pair = [client, server] as const;
    client.setNoDelay(true);
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => {}); // whoever uses the connection sees its end
      socket.once("close", () => {
        this.#pairs.delete(pair);
        void this.#endBoth(pair);
      });
    }
    void this.#forward(client, server, "up");
    void this.#forward(server, client, "down");
  }

  /** A black hole swallows the end of a connection as well: the other side keeps it half open. */
  async #endBoth(pair: readonly [Socket, Socket]): Promise<void> {
    while (this.#holding.size > 0) await this.#healed.promise;
    for (const socket of pair) socket.destroy();
  }

  /** Pulls, so that a held direction slows its sender down like a full network does. */
  async #forward(from: Socket, to: Socket, direction: Direction): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (this.#delayMs > 0) await delay(this.#delayMs);
        for (let at = 0; at < chunk.length; at += this.#trickleBytes) {
          while (this.#holding.has(direction)) await this.#healed.promise;
          if (to.destroyed) return;
          const roomy = to.write(chunk.subarray(at, at + this.#trickleBytes));
          if (!roomy) await once(to, "drain");
          // So that the pieces do not leave as one.
          if (at + this.#trickleBytes < chunk.length) await delay(1);
        }
      }
      while (this.#holding.has(direction)) await this.#healed.promise;
      to.end();
    } catch {
      from.destroy();
      to.destroy();
    }
  }
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function listen(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy does not listen");
  return address.port;
}
