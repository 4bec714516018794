// The HTTP port as a scraper, a load balancer and a stranger see it.

import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { ConfigError } from "../../../src/errors.ts";
import { type HttpOptions, type HttpServer, startHttp } from "../../../src/monitor/http.ts";
import { withReadiness } from "../../../src/monitor/readiness.ts";
import type { Report, Status } from "../../../src/monitor/status.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { rememberSecret } from "../../../src/telemetry/redact.ts";

const report: Report = {
  version: "1.2.3",
  startedAt: "2026-01-01T00:00:00.000Z",
  bus: { connected: true, fsync: "always" },
  sources: [
    {
      id: "shop",
      kind: "postgres",
      state: "running",
      heldForFsync: { marks: 4, oldestMs: 1500 },
      unsentBytes: 10,
      unconfirmedBytes: 20,
      lagSeconds: 0.5,
      heartbeatSeconds: 0.25,
      stalledMs: 0,
      unsavedMs: 0,
      notices: [],
      read: 3,
      published: 2,
      saved: 1,
      acknowledged: 1,
      poison: 0,
    },
  ],
  automations: [],
};
const status: Status = withReadiness(report);

async function listen(options: Partial<HttpOptions> = {}): Promise<HttpServer> {
  const { registry } = createMetrics();
  const server = await startHttp({
    host: "127.0.0.1",
    port: 0,
    token: undefined,
    status: () => status,
    registry,
    queueDepth: async () => new Map([["mail", { pending: 4, unacked: 1, later: 2 }]]),
    log: silentLogger,
    ...options,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

test("/healthz is ok as long as the process answers", async () => {
  const { url } = await listen();

  const response = await fetch(`${url}/healthz`);

  expect([response.status, await response.json()]).toEqual([200, { status: "ok" }]);
});

test("/readyz is 200 with each part's state, 503 when one is stuck", async () => {
  const ready = await listen();
  const stuck = await listen({ status: () => withReadiness({ ...report, bus: { ...report.bus, connected: false } }) });

  const good = await fetch(`${ready.url}/readyz`);
  const bad = await fetch(`${stuck.url}/readyz`);

  expect(good.status).toBe(200);
  expect(await good.json()).toEqual({
    ready: true,
    parts: [
      { kind: "bus", id: "nats", ready: true, reason: "connected" },
      { kind: "source", id: "shop", ready: true, reason: "running" },
    ],
  });
  expect(bad.status).toBe(503);
  expect(await bad.json()).toMatchObject({ ready: false, parts: [{ id: "nats", reason: "not connected" }, {}] });
});

test("/metrics is Prometheus text, gauges as the status is now", async () => {
  const { url } = await listen();

  const response = await fetch(`${url}/metrics`);

  const text = await response.text();
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(text).toContain('millrace_ready{kind="source",id="shop"} 1');
  expect(text).toContain('millrace_held_for_fsync{source="shop"} 4');
  expect(text).toContain('millrace_held_for_fsync_seconds{source="shop"} 1.5');
  expect(text).toContain('millrace_source_unsent_bytes{source="shop"} 10');
  expect(text).toContain('millrace_source_unconfirmed_bytes{source="shop"} 20');
  expect(text).toContain('millrace_source_lag_seconds{source="shop"} 0.5');
  expect(text).toContain('millrace_source_heartbeat_seconds{source="shop"} 0.25');
  expect(text).toContain('queue_depth{automation="mail"} 7');
  expect(text).toContain('queue_put_off{automation="mail"} 2');
  expect(text).toContain("process_resident_memory_bytes");
});

test("/api/status is the status, without secrets", async () => {
  rememberSecret("pass-w0rd-of-the-bus");
  const [shop] = status.sources;
  const reason = { code: "BUS_AWAY", message: "tried nats://me:pass-w0rd-of-the-bus@host" };
  const { url } = await listen({
    status: () => ({ ...status, sources: shop === undefined ? [] : [{ ...shop, reason }] }),
  });

  const response = await fetch(`${url}/api/status`);

  expect(await response.json()).toEqual({
    ...status,
    sources: [{ ...shop, reason: { ...reason, message: "tried nats://me:[redacted]@host" } }],
  });
});

test("with a token only its bearer reads more than alive and ready", async () => {
  const { url } = await listen({ token: "right" });
  const get = (path: string, token?: string): Promise<Response> =>
    fetch(url + path, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });

  expect((await get("/healthz")).status).toBe(200);
  expect(await (await get("/readyz")).json()).toEqual({ ready: true });
  for (const path of ["/metrics", "/api/status"]) {
    expect((await get(path)).status).toBe(401);
    expect((await get(path, "wrong")).status).toBe(401);
    expect((await get(path, "right")).status).toBe(200);
  }
});

test("other paths are 404 and nothing can be written", async () => {
  const { url } = await listen();

  expect((await fetch(`${url}/`)).status).toBe(404);
  expect((await fetch(`${url}/api/status`, { method: "POST" })).status).toBe(405);
});

test("what cannot be told is 500, and why is in the log alone", async () => {
  const { url } = await listen({
    status: () => {
      throw new Error("of the inside");
    },
  });

  const response = await fetch(`${url}/readyz`);

  expect([response.status, await response.text()]).toEqual([500, '{"error":"internal"}\n']);
});

test("HEAD is answered as GET, without the body", async () => {
  const { url } = await listen({ token: "right" });

  for (const [path, code] of [
    ["/readyz", 200],
    ["/metrics", 401],
    ["/", 404],
  ] as const) {
    const response = await fetch(url + path, { method: "HEAD" });
    expect([path, response.status, await response.text()]).toEqual([path, code, ""]);
    expect(response.headers.get("cache-control")).toBe("no-store");
  }
});

test("a probe that speaks HTTP/1.0 and names no host is answered", async () => {
  const { port } = new URL((await listen()).url);
  const socket = connect(Number(port), "127.0.0.1");
  await once(socket, "connect");

  socket.write("GET /healthz HTTP/1.0\r\n\r\n");

  expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n{"status":"ok"}\n$/s);
});

test("an application that embeds the worker keeps its own Request and Response", async () => {
  const own = [globalThis.Request, globalThis.Response];

  await listen();

  expect([globalThis.Request, globalThis.Response]).toEqual(own);
});

test("a port in use is a ConfigError that says what to do", async () => {
  const { url } = await listen();

  const error: unknown = await listen({ port: Number(new URL(url).port) }).catch((thrown: unknown) => thrown);

  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({ code: "HTTP_PORT_IN_USE", hint: expect.stringContaining("MILLRACE_HTTP") });
});

test("an address that is not this machine's is a ConfigError", async () => {
  const error: unknown = await listen({ host: "192.0.2.1" }).catch((thrown: unknown) => thrown);

  expect(error).toMatchObject({ name: "ConfigError", code: "HTTP_ADDRESS_UNUSABLE" });
});
