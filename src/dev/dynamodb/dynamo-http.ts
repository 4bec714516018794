// The double behind a port, for the real SDK: JSON 1.0 over HTTP, on the loopback address. No signature is checked.

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { crc32 } from "node:zlib";
import type { DynamoDouble } from "./dynamo-double.ts";
import { ConnectionReset, DynamoFault } from "./fault.ts";
import { StrangeAnswer } from "./trouble.ts";

const HOST = "127.0.0.1";
/** Where each exception is declared; the SDK reads what stands behind the #. */
const spaces: Readonly<Record<string, string>> = {
  ValidationException: "com.amazon.coral.validate",
  ThrottlingException: "com.amazon.coral.availability",
  SerializationException: "com.amazon.coral.service",
  UnknownOperationException: "com.amazon.coral.service",
  UnrecognizedClientException: "com.amazon.coral.service",
  ExpiredTokenException: "com.amazon.coral.service",
  AccessDeniedException: "com.amazon.coral.service",
  MissingAuthenticationTokenException: "com.amazon.coral.service",
};

export class DynamoHttp implements AsyncDisposable {
  readonly double: DynamoDouble;
  readonly #server: Server;
  /** Of answers, bodies alone. */
  sentBytes = 0;
  #requests = 0;

  private constructor(double: DynamoDouble) {
    this.double = double;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** @param port any free one by default */
  static async start(double: DynamoDouble, port = 0): Promise<DynamoHttp> {
    const http = new DynamoHttp(double);
    await new Promise<void>((resolve, reject) => {
      http.#server.once("error", reject);
      http.#server.listen(port, HOST, resolve);
    });
    return http;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://${HOST}:${this.port}`;
  }

  /** Breaks all connections; new ones are taken at once. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const [service = "", operation = ""] = String(request.headers["x-amz-target"]).split(".");
      const answer = await this.double.ask(service, operation, await inputOf(request));
      this.#send(response, 200, JSON.stringify(answer));
    } catch (error) {
      if (error instanceof ConnectionReset) request.socket.destroy();
      else if (error instanceof StrangeAnswer) this.#send(response, error.status, error.body, error.contentType);
      else if (error instanceof DynamoFault) this.#refuse(response, error);
      else this.#refuse(response, new DynamoFault("InternalServerError", `the double has a fault: ${error}`, 500));
    }
  }

  #refuse(response: ServerResponse, { type, message, status, more }: DynamoFault): void {
    const space = spaces[type] ?? "com.amazonaws.dynamodb.v20120810";
    this.#send(response, status, JSON.stringify({ __type: `${space}#${type}`, message, ...more }));
  }

  #send(response: ServerResponse, status: number, text: string, contentType = "application/x-amz-json-1.0"): void {
    const body = Buffer.from(text);
    this.sentBytes += body.length;
    const id = createHash("sha256")
      .update(String(++this.#requests))
      .digest("hex")
      .slice(0, 52)
      .toUpperCase();
    response.writeHead(status, {
      ...{ "content-type": contentType, "content-length": body.length },
      ...{ "x-amzn-requestid": id, "x-amz-crc32": String(crc32(body)) },
    });
    response.end(body);
  }
}

/** @throws DynamoFault SerializationException */
async function inputOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const parts: Uint8Array[] = [];
  for await (const part of request) parts.push(part as Uint8Array);
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw new DynamoFault("SerializationException", "the request is no JSON");
  }
}
