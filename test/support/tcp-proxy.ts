// A loopback TCP proxy that breaks connections in all the ways that networks do.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** `up`: towards the server; `down`: towards the client. */
export type Direction = "up" | "down";

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** What the client sends goes here instead. */
  leftovers: Leftovers | undefined;
}

/** What clients sent on connections that were then lost, still under way to the server. */
export class Leftovers {
  readonly #pairs: readonly Pair[];
  readonly #chunks = new Map<Pair, Buffer[]>();
  readonly delivered: Promise<void>;
  #done = (): void => {};

  /** Made by `TcpProxy.keepBack`. */
  constructor(pairs: readonly Pair[]) {
    this.#pairs = pairs;
    this.delivered = new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  keep(pair: Pair, chunk: Buffer): void {
    const chunks = this.#chunks.get(pair);
    if (chunks === undefined) this.#chunks.set(pair, [chunk]);
    else chunks.push(chunk);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.connections);
  }

  /** The bytes of each connection; the last thing in them may be cut off anywhere. */
  get connections(): readonly Buffer[] {
    return [...this.#chunks.values()].map((chunks) => Buffer.concat(chunks));
  }

  /** The clients lose their connections; the server does not notice. */
  cut(): void {
    for (const { client } of this.#pairs) client.resetAndDestroy();
  }

  /** Everything arrives at the server now, and then the connections' end. */
  deliver(): void {
    for (const pair of this.#pairs) {
      pair.leftovers = undefined;
      for (const chunk of this.#chunks.get(pair) ?? []) pair.server.write(chunk);
      if (pair.client.destroyed) pair.server.end();
    }
    this.#chunks.clear();
    this.#done();
  }
}

/** Stands between a client and one server on loopback. A mode holds for open and for new connections, until `heal`. */
export class TcpProxy implements AsyncDisposable {
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  readonly #holding = new Set<Direction>();
  /** Nothing comes through them any more; some may be closed on one side. */
  readonly #forgotten = new Set<Pair>();
  #listener: Server;
  #delayMs = 0;
  #trickleBytes = Number.POSITIVE_INFINITY;
  #bytesDown = 0;
  #healed: PromiseWithResolvers = withResolvers();
  readonly port: number;

  private constructor(target: number, listener: Server, port: number) {
    this.#target = target;
    this.#listener = listener;
    this.port = port;
    listener.on("connection", (client) => this.#accept(client));
  }

  /** @param port to listen on; any free one by default */
  static async start(target: number, port = 0): Promise<TcpProxy> {
    const listener = await listen(port);
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

  /** How many bytes the server has sent so far. */
  get bytesDown(): number {
    return this.#bytesDown;
  }

  /** Resets every open connection. */
  cut(): void {
    for (const { client, server } of this.#pairs) for (const socket of [client, server]) socket.resetAndDestroy();
  }

  /** The connections that are open now carry nothing any more, their ends included; new ones work. */
  forget(): void {
    for (const pair of this.#pairs) this.#forgotten.add(pair);
  }

  /** What is sent from now on over the connections that are open now stays under way until it is delivered. */
  keepBack(): Leftovers {
    const pairs = [...this.#pairs];
    const leftovers = new Leftovers(pairs);
    for (const pair of pairs) pair.leftovers = leftovers;
    return leftovers;
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
    this.#forgotten.clear();
    this.#healed.resolve();
    this.#healed = withResolvers();
    if (this.#listener.listening) return;
    this.#listener = await listen(this.port);
    this.#listener.on("connection", (client) => this.#accept(client));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const pair of this.#pairs) pair.leftovers?.deliver();
    this.cut();
    this.#holding.clear();
    this.#forgotten.clear();
    this.#healed.resolve();
  }

  #accept(client: Socket): void {
    const server = connect({ host: "127.0.0.1", port: this.#target, noDelay: true });
    const pair: Pair = { client, server, leftovers: undefined };
    client.setNoDelay(true);
    this.#pairs.add(pair);
    for (const socket of [client, server]) {
      socket.on("error", () => {}); // whoever uses the connection sees its end
      socket.once("close", () => {
        this.#pairs.delete(pair);
        void this.#endBoth(pair);
      });
    }
    void this.#forward(pair, "up");
    void this.#forward(pair, "down");
  }

  /** A black hole swallows the end of a connection as well: the other side keeps it half open. */
  async #endBoth(pair: Pair): Promise<void> {
    if (pair.leftovers !== undefined) {
      await pair.leftovers.delivered;
      return; // what was left is written, and then the end
    }
    while (this.#holding.size > 0 || this.#forgotten.has(pair)) await this.#healed.promise;
    pair.client.destroy();
    pair.server.destroy();
  }

  /** Pulls, so that a held direction slows its sender down like a full network does. */
  async #forward(pair: Pair, direction: Direction): Promise<void> {
    const [from, to] = direction === "up" ? [pair.client, pair.server] : [pair.server, pair.client];
    const passable = async (): Promise<void> => {
      while (this.#holding.has(direction) || this.#forgotten.has(pair)) await this.#healed.promise;
    };
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (direction === "down") this.#bytesDown += chunk.length;
        if (this.#delayMs > 0) await delay(this.#delayMs);
        if (direction === "up" && pair.leftovers !== undefined) {
          pair.leftovers.keep(pair, chunk);
          continue;
        }
        for (let rest = chunk; rest.length > 0; ) {
          await passable();
          if (to.destroyed && pair.leftovers !== undefined) break; // nobody reads the answers, and the server does not notice
          if (to.destroyed) return;
          const roomy = to.write(rest.subarray(0, this.#trickleBytes));
          rest = rest.subarray(this.#trickleBytes);
          if (!roomy) await once(to, "drain");
          // So that the pieces do not leave as one.
          if (rest.length > 0) await delay(1);
        }
      }
      await passable();
      if (pair.leftovers === undefined) to.end();
    } catch {
      if (pair.leftovers !== undefined) return;
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
