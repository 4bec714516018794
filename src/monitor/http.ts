// The worker's HTTP port: alive, ready, metrics, status. It reads only.

import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { Hono, type HonoRequest, type MiddlewareHandler } from "hono";
import type { Registry } from "prom-client";
import { ConfigError, toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { redact } from "../telemetry/redact.ts";
import type { Status } from "./status.ts";
import { type QueueDepth, registerQueueDepth, registerStatusGauges } from "./status-gauges.ts";

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

/** Listens. @throws ConfigError HTTP_PORT_IN_USE, HTTP_ADDRESS_UNUSABLE */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  registerStatusGauges(options.registry, options.status);
  registerQueueDepth(options.registry, options.queueDepth);
  const server = createAdaptorServer({
    fetch: routes(options).fetch,
    overrideGlobalObjects: false, // they belong to the application that embeds the worker
    hostname: "localhost", // for probes that speak HTTP/1.0 and name no host
  }) as Server;
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

/** What is answered to whom: each route says itself whether it asks for the token. */
function routes({ status, registry, token, log }: HttpOptions): Hono {
  const paths = ["/healthz", "/readyz", "/metrics", "/api/status"];
  const withToken: MiddlewareHandler = async ({ req }, next) =>
    mayRead(req, token) ? next() : json(401, { error: "send Authorization: Bearer <MILLRACE_HTTP_TOKEN>" });
  return new Hono()
    .get("/healthz", () => json(200, { status: "ok" }))
    .get("/readyz", ({ req }) => {
      // Whoever has no token (a load balancer) learns yes or no, not what there is.
      const { ready, parts } = status();
      return json(ready ? 200 : 503, mayRead(req, token) ? { ready, parts } : { ready });
    })
    .get("/metrics", withToken, async () => answer(200, registry.contentType, await registry.metrics()))
    .get("/api/status", withToken, () => json(200, status()))
    .notFound(({ req: { method } }) =>
      method === "GET" || method === "HEAD"
        ? json(404, { error: "not found", paths })
        : json(405, { error: "only GET" }),
    )
    .onError((error) => {
      log.error("http_failed", { error });
      return json(500, { error: "internal" });
    });
}

function mayRead(request: HonoRequest, token: string | undefined): boolean {
  if (token === undefined) return true;
  const given = Buffer.from(request.header("authorization") ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function json(status: number, body: unknown): Response {
  return answer(status, "application/json", `${redact(JSON.stringify(body))}\n`);
}

function answer(status: number, type: string, body: string): Response {
  return new Response(body, { status, headers: { "content-type": type, "cache-control": "no-store" } });
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
