// A way in of a test's own, on the bus in memory, and requests to it as bytes.

import { createHmac } from "node:crypto";
import { connect } from "node:net";
import { Registry } from "prom-client";
import { onTestFinished } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { MemoryBus } from "../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../src/bus/memory/memory-server.ts";
import { realClock } from "../../src/clock.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { startIngress } from "../../src/ingress/ingress.ts";
import { ingressPlan } from "../../src/ingress/plan.ts";
import { ingressCounters } from "../../src/telemetry/ingress-metrics.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";

export const SECRET = "a-secret-of-the-tests";
export const TOKEN = "a-token-of-the-tests";

/** A receiver that signs by HMAC, with an id and a type. */
export const erp = {
  ...{ provider: "hmac", secret: { env: "SECRET" }, header: "x-signature" },
  ...{ id: { header: "x-delivery" }, type: { pointer: "/event" } },
};

export interface OpenOptions {
  readonly webhooks?: object;
  readonly types?: object;
  readonly ingress?: object;
  /** Instead of the bus in memory; undefined: it is away. */
  readonly bus?: () => Pick<Bus, "receive"> | undefined;
}

/** Listens on a free port until the test ends. */
export async function openIngress({ webhooks = { erp }, types = {}, ingress = {}, bus }: OpenOptions = {}) {
  const events = Object.keys(types).length > 0 ? { events: { token: { env: "TOKEN" }, types } } : {};
  const input = { sources: {}, webhooks, ...events, ingress: { port: 0, ...ingress } };
  const { received } = resolveConfig(input, new Map(), { SECRET, TOKEN });
  const server = new MemoryServer(realClock);
  const memory = new MemoryBus({ server, clock: realClock, fsync: "always", log: silentLogger });
  const counters = ingressCounters(new Registry());
  const listener = await startIngress({
    section: received.ingress,
    plan: ingressPlan(received),
    bus: bus ?? (() => memory),
    metrics: counters,
    clock: realClock,
    log: silentLogger,
  });
  onTestFinished(async () => {
    await listener.close();
    await memory[Symbol.asyncDispose]();
  });
  /** Bodies of what is stored, in order, without the records of ids. */
  const stored = () =>
    (server.streams.get("MILLRACE_EVENTS")?.messages ?? [])
      .filter(({ subject }) => subject.startsWith("events."))
      .map(({ subject, data }) => ({ subject, text: Buffer.from(data).toString() }));
  return { port: Number(new URL(listener.url).port), listener, counters, stored };
}

export interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string | Buffer;
}

/** A signed request for `erp`. */
export function signed(body: string, id = "d-1", more: Request = {}): Request {
  const digest = createHmac("sha256", SECRET).update(body).digest("hex");
  const headers = [
    ["Content-Type", "application/json"],
    ["X-Delivery", id],
    ["X-Signature", digest],
  ] as const;
  return { method: "POST", path: "/in/erp", body, ...more, headers: [...headers, ...(more.headers ?? [])] };
}

/** A typed POST. */
export function posted(type: string, body: string, headers: Request["headers"] = []): Request {
  const usual = [
    ["Content-Type", "application/json"],
    ["Authorization", `Bearer ${TOKEN}`],
  ] as const;
  return { path: `/events/${type}`, headers: [...usual, ...headers], body };
}

/** The bytes of a request, with Host, Connection: close and the length unless they are given. */
export function bytesOf({ method = "POST", path = "/in/erp", headers = [], body = "" }: Request): Buffer {
  const has = (name: string): boolean => headers.some(([given]) => given.toLowerCase() === name);
  const added = [
    ...(has("host") ? [] : [["Host", "millrace.test"]]),
    ...(has("connection") ? [] : [["Connection", "close"]]),
    ...(has("content-length") || has("transfer-encoding") ? [] : [["Content-Length", Buffer.byteLength(body)]]),
  ];
  const lines = [...added, ...headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines}\r\n`, "latin1"), Buffer.from(body)]);
}

export interface RawAnswer {
  /** All that came. */
  readonly text: string;
  /** Of the first answer; 0 where none came. */
  readonly status: number;
  /** The first answer's body, as JSON. */
  readonly json: { readonly status?: string; readonly reason?: string } | undefined;
}

/** Sends bytes over a connection of its own, and reads until the other side closes it. */
export function rawSend(port: number, ...parts: readonly (Buffer | string)[]): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const got: Buffer[] = [];
    const socket = connect({ host: "127.0.0.1", port }, () => {
      for (const part of parts) socket.write(part);
    });
    socket.on("data", (chunk: Buffer) => got.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      const text = Buffer.concat(got).toString();
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      const [, body = ""] = /\r\n\r\n(\{[^}]*\})/.exec(text) ?? [];
      resolve({ text, status, json: body === "" ? undefined : (JSON.parse(body) as RawAnswer["json"]) });
    });
  });
}

export const ask = (port: number, request: Request): Promise<RawAnswer> => rawSend(port, bytesOf(request));
