// A wire double of MongoDB: what the driver and the connector need of a server, and faults that a real one cannot be made to
// show. It is no MongoDB: what passes on it alone was not tried on a real server.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import { BSON } from "mongodb";
import type { StreamLimits } from "./change-stream.ts";
import { CommandError } from "./command-error.ts";
import { type Cluster, Node } from "./commands.ts";
import { errorOf, Failpoints, type Fault } from "./failpoints.ts";
import { Oplog } from "./oplog.ts";
import { documentOf, Messages, membersOf, type Request, readRequest, writeReply } from "./wire.ts";

export interface DoubleOptions extends Partial<Omit<StreamLimits, "maxEvents">> {
  readonly topology?: Cluster["topology"];
  /** How many servers it has; default 1. */
  readonly nodes?: number;
  readonly setName?: string;
  /** More of what it says of itself, as servers do that are not MongoDB. */
  readonly hello?: BSON.Document;
  /** A certificate's files: then it takes TLS alone. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Another cluster's log and documents, as a copy of it has. */
  readonly oplog?: Oplog;
}

/** A command that came, without what a driver sends for itself. */
export interface Received {
  readonly name: string;
  readonly body: BSON.Document;
  /** The node that it came to. */
  readonly node: number;
  readonly atMs: number;
}

interface Listening {
  readonly node: Node;
  readonly server: Server;
  readonly port: number;
}

const OWN = new Set(["hello", "ismaster", "isMaster", "ping", "endSessions", "buildInfo"]);

export class MongoDouble implements AsyncDisposable {
  readonly oplog: Oplog;
  readonly received: Received[] = [];
  /** What it calls itself: another one stands for another cluster. */
  id: BSON.ObjectId = new BSON.ObjectId();
  topology: Cluster["topology"];
  readonly #options: DoubleOptions;
  readonly #failpoints = new Failpoints();
  readonly #sockets = new Set<Socket>();
  readonly #nodes: Listening[] = [];
  #maxEvents = Number.POSITIVE_INFINITY;
  #primary = 0;
  #elections = 1;

  private constructor(options: DoubleOptions) {
    this.#options = options;
    this.oplog = options.oplog ?? new Oplog();
    this.topology = options.topology ?? "replicaSet";
  }

  static async start(options: DoubleOptions = {}): Promise<MongoDouble> {
    const double = new MongoDouble(options);
    for (let nth = 0; nth < (options.nodes ?? 1); nth++) await double.#listen(nth, 0);
    return double;
  }

  /** For the driver, with all of its nodes. */
  get url(): string {
    return `mongodb://${this.#hosts.join(",")}/`;
  }

  get port(): number {
    return this.#nodes[0]?.port ?? 0;
  }

  /** Cursors that are open now. */
  get openCursors(): number {
    return this.#nodes.reduce((sum, { node }) => sum + node.openCursors, 0);
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** How many commands of a name came. */
  count(name: string): number {
    return this.received.filter((one) => one.name === name).length;
  }

  fail(fault: Fault): void {
    this.#failpoints.add(fault);
  }

  /** How many faults nobody has met yet. */
  get armed(): number {
    return this.#failpoints.armed;
  }

  /** From now on an answer holds no more than so many events, whatever is asked for. */
  splitReplies(events: number): void {
    this.#maxEvents = events;
  }

  /** No faults any more. */
  heal(): void {
    this.#failpoints.clear();
  }

  /** Ends all connections; new ones are taken at once. */
  cut(): void {
    for (const socket of this.#sockets) reset(socket);
  }

  killCursors(): void {
    for (const { node } of this.#nodes) node.killCursors();
  }

  /** Makes another node the primary: the former one knows its cursors no more. */
  elect(nth: number): void {
    this.#nodes[this.#primary]?.node.killCursors();
    this.#primary = nth;
    this.#elections++;
  }

  /** Nobody listens, and all connections end. */
  async stop(): Promise<void> {
    this.cut();
    this.killCursors();
    for (const { server } of this.#nodes) await new Promise((resolve) => server.close(resolve));
  }

  /** Behind `stop`: at the same addresses. */
  async restart(): Promise<void> {
    const before = this.#nodes.splice(0);
    for (const [nth, { port }] of before.entries()) await this.#listen(nth, port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heal();
    await this.stop();
  }

  get #hosts(): readonly string[] {
    return this.#nodes.map(({ port }) => `localhost:${port}`);
  }

  #cluster(): Cluster {
    const { setName = "double", repeats = 0 } = this.#options;
    const { maxEventBytes = 16 * 1024 * 1024, maxReplyBytes = 16 * 1024 * 1024 } = this.#options;
    return {
      oplog: this.oplog,
      topology: this.topology,
      setName,
      id: this.id,
      version: "8.0.0",
      hosts: this.#hosts,
      primary: this.#hosts[this.#primary] ?? "",
      elections: this.#elections,
      limits: { maxEventBytes, maxReplyBytes, maxEvents: this.#maxEvents, repeats },
      hello: this.#options.hello ?? {},
    };
  }

  async #listen(nth: number, port: number): Promise<void> {
    const { tls } = this.#options;
    const take = (socket: Socket): void => this.#take(socket, nth);
    const server = tls
      ? createTlsServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }, take)
      : createServer(take);
    server.listen(port, "localhost");
    await once(server, "listening");
    const address = server.address();
    const taken = typeof address === "object" && address !== null ? address.port : port;
    this.#nodes.push({ server, port: taken, node: new Node(`localhost:${taken}`, () => this.#cluster()) });
  }

  #take(socket: Socket, nth: number): void {
    const messages = new Messages();
    this.#sockets.add(socket);
    socket.on("error", () => {}); // the client sees its end
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("data", (bytes) => {
      try {
        for (const message of messages.add(bytes)) void this.#serve(socket, nth, readRequest(message));
      } catch {
        socket.destroy(); // not a driver of MongoDB, or TLS where none is taken
      }
    });
  }

  async #serve(socket: Socket, nth: number, request: Request): Promise<void> {
    const { body } = request;
    const [name = ""] = Object.keys(body);
    const node = this.#nodes[nth]?.node;
    if (!OWN.has(name)) this.received.push({ name, body, node: nth, atMs: performance.now() });
    const fault = this.#failpoints.meet(name, body);
    if (fault?.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    if (fault?.close === true) {
      reset(socket);
      return;
    }
    const members = await this.#answer(node, name, body, fault);
    if (socket.writable) socket.write(writeReply(request, documentOf(members, this.#times())));
  }

  async #answer(node: Node | undefined, name: string, body: BSON.Document, fault: Fault | undefined): Promise<Buffer> {
    try {
      const refused = fault && errorOf(fault);
      if (refused !== undefined) throw refused;
      if (node === undefined) throw new CommandError(91, "ShutdownInProgress", "the server is shutting down");
      return Buffer.concat([await node.answer(name, body), membersOf({ ok: 1 })]);
    } catch (error) {
      if (error instanceof CommandError) return membersOf(error.reply);
      const { message } = error as Error;
      return membersOf(new CommandError(8, "UnknownError", `the double is broken: ${message}`).reply);
    }
  }

  #times(): Buffer {
    if (this.topology === "single") return Buffer.alloc(0);
    const time = new BSON.Timestamp(this.oplog.time);
    const signature = { hash: new BSON.Binary(Buffer.alloc(20)), keyId: BSON.Long.ZERO };
    return membersOf({ operationTime: time, $clusterTime: { clusterTime: time, signature } });
  }
}

function reset(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
