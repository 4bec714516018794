// The port that the world reaches: strict about what is HTTP, short of patience, and closed without dropping what is in hand.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type Clock, within } from "../clock.ts";
import { ConfigError, toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Refusal, refusalAnswer } from "./answer.ts";

export interface ListenOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** See `Handler.handle`; never rejects. */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    connection: { last(): boolean; begin?(): void },
  ): Promise<void>;
  /** Hears of what is no HTTP, or came too slowly. */
  refused(reason: string): void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Listener {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  /** Takes no more, answers what it has begun, and ends. */
  close(): Promise<void>;
}

const HEADERS_MS = 5000;
const REQUEST_MS = 15_000;
const LOOK_MS = 500;
const IDLE_MS = 10_000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_CONNECTIONS = 4096;
/** What is in hand at the end gets this long. */
const CLOSE_MS = 5000;
/** For a sender that does not close its side. */
const FAREWELL_MS = 1000;

/** @throws ConfigError INGRESS_PORT_IN_USE, INGRESS_ADDRESS_UNUSABLE */
export async function listen({ host, port, handle, refused, clock, log }: ListenOptions): Promise<Listener> {
  let closing = false;
  /** What is being answered, by connection: the newest of it. */
  const current = new WeakMap<Socket, { readonly request: IncomingMessage; readonly response: ServerResponse }>();
  const server = createServer({
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: LOOK_MS,
    keepAliveTimeout: IDLE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    insecureHTTPParser: false, // whatever NODE_OPTIONS says
    requireHostHeader: true,
  });
  server.maxHeadersCount = 0; // bounded by their bytes: none is left out in silence
  server.maxConnections = MAX_CONNECTIONS;
  const serve = (request: IncomingMessage, response: ServerResponse, begin?: () => void): void => {
    const { socket } = request;
    current.set(socket, { request, response });
    response.on("error", () => {}); // its sender has left
    void handle(request, response, { last: () => closing || broken.has(socket), ...(begin ? { begin } : {}) });
  };
  /** Connections on which nothing more can be read. */
  const broken = new WeakSet<Socket>();
  server.on("request", (request, response) => serve(request, response));
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) =>
    serve(request, response, () => response.writeContinue()),
  );
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    const answering = current.get(socket);
    const inHand = answering !== undefined && !answering.response.writableFinished;
    if (inHand && answering.request.complete) {
      broken.add(socket); // what came behind it is no HTTP; it is answered all the same
      return;
    }
    if (inHand && answering.response.headersSent) return void socket.destroy();
    const refusal = faultOf(error);
    refused(refusal.reason);
    farewell(socket, refusal);
  });
  const place = host.includes(":") ? `[${host}]` : host;
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    throw cannotListen(toError(error), `${place}:${port}`);
  }
  server.on("error", (error) => log.error("ingress_failed", { error }));
  const url = `http://${place}:${(server.address() as AddressInfo).port}`;
  log.info("ingress_listening", { url });
  return {
    url,
    close: async () => {
      closing = true;
      const closed = once(server, "close");
      server.close(); // and what is idle
      await within(clock, CLOSE_MS, closed);
      server.closeAllConnections();
      await closed;
    },
  };
}

function faultOf({ code }: NodeJS.ErrnoException): Refusal {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return { status: 408, reason: "timeout" };
  if (code === "HPE_HEADER_OVERFLOW") return { status: 431, reason: "headers" };
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return { status: 413, reason: "size" };
  return { status: 400, reason: "malformed" };
}

/** There is no request to answer: the answer is written as it is. */
function farewell(socket: Socket, refusal: Refusal): void {
  const { status, body } = refusalAnswer(refusal);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n`;
  socket.on("error", () => {});
  socket.end(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
  socket.once("close", () => clearTimeout(timer));
}

function cannotListen(error: Error, place: string): ConfigError {
  const inUse = "code" in error && error.code === "EADDRINUSE";
  return inUse
    ? new ConfigError("INGRESS_PORT_IN_USE", `ingress: another program listens on ${place}`, {
        hint: "End it, or set ingress.port to a free one; http.port is another one.",
        cause: error,
      })
    : new ConfigError("INGRESS_ADDRESS_UNUSABLE", `ingress: cannot listen on ${place}`, {
        hint: "Set ingress.host to an address of this machine, and ingress.port to a port that you may use.",
        cause: error,
      });
}
