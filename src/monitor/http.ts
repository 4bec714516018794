// The worker's HTTP port: alive, ready, metrics, status. It reads only.

import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { ConfigError, toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { redact } from "../telemetry/redact.ts";
import { type QueueDepth, registerQueueDepth } from "./queue-depth.ts";
import type { Status } from "./status.ts";
import { registerStatusGauges } from "./status-gauges.ts";

export interface HttpOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** What `Authorization: Bearer …` must say; without one everybody may read. */
  readonly token: string | undefined;
  readonly status: () => Status;
  readonly registry: Registry;
  readonly queueDepth: QueueDepth;
  readonly log: Logger;
}

export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:9464` */
  readonly url: string;
}

interface Answer {
  readonly code: number;
  readonly type: string;
  readonly body: string;
}

/** Listens. @throws ConfigError HTTP_PORT_IN_USE, HTTP_ADDRESS_UNUSABLE */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  registerStatusGauges(options.registry, options.status);
  registerQueueDepth(options.registry, options.queueDepth);
  const server = createServer((request, response) => {
    answer(request, options).then(
      (given) => send(response, given),
      (error: unknown) => {
        options.log.error("http_failed", { error: toError(error) });
        send(response, json(500, { error: "internal" }));
      },
    );
  });
  const place = options.host.includes(":") ? `[${options.host}]` : options.host;
  try {
    server.listen(options.port, options.host);
    await once(server, "listening");
  } catch (error) {
    throw cannotListen(toError(error), `${place}:${options.port}`);
  }
  server.on("error", (error) => options.log.error("http_failed", { error }));
  const url = `http://${place}:${(server.address() as AddressInfo).port}`;
  options.log.info("http_listening", { url });
  return {
    url,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(request: IncomingMessage, options: HttpOptions): Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD") return json(405, { error: "only GET" });
  const allowed = mayRead(request, options.token);
  switch (request.url?.split("?")[0]) {
    case "/healthz":
      return json(200, { status: "ok" });
    case "/readyz": {
      // Whoever has no token (a load balancer) learns yes or no, not what there is.
      const { ready, parts } = options.status();
      return json(ready ? 200 : 503, allowed ? { ready, parts } : { ready });
    }
    case "/metrics":
      if (!allowed) return unauthorized;
      return { code: 200, type: options.registry.contentType, body: await options.registry.metrics() };
    case "/api/status":
      return allowed ? json(200, options.status()) : unauthorized;
    default:
      return json(404, { error: "not found", paths: ["/healthz", "/readyz", "/metrics", "/api/status"] });
  }
}

function mayRead(request: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true;
  const given = Buffer.from(request.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

const unauthorized: Answer = json(401, { error: "send Authorization: Bearer <MILLRACE_HTTP_TOKEN>" });

function json(code: number, body: unknown): Answer {
  return { code, type: "application/json", body: `${redact(JSON.stringify(body))}\n` };
}

function send(response: ServerResponse, { code, type, body }: Answer): void {
  response.writeHead(code, { "content-type": type, "cache-control": "no-store" }).end(body);
}

function cannotListen(error: Error, place: string): ConfigError {
  const inUse = "code" in error && error.code === "EADDRINUSE";
  return inUse
    ? new ConfigError("HTTP_PORT_IN_USE", `http: another program listens on ${place}`, {
        hint: "End it, or set http.port or MILLRACE_HTTP=host:port to a free one.",
        cause: error,
      })
    : new ConfigError("HTTP_ADDRESS_UNUSABLE", `http: cannot listen on ${place}`, {
        hint: "Set http.host or MILLRACE_HTTP to an address of this machine and a port that you may use.",
        cause: error,
      });
}
