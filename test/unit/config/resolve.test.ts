// What each mistake in a configuration says, and what a right one becomes.

import { inspect } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";
import { env } from "../../../src/config/env.ts";
import { refuseOpenHttp } from "../../../src/config/http.ts";
import { parseConfig } from "../../../src/config/parse.ts";
import { refuseIdle, resolveBusConfig, resolveConfig } from "../../../src/config/resolve.ts";
import { ConfigError } from "../../../src/errors.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { redact } from "../../../src/telemetry/redact.ts";

const section = z.strictObject({
  url: z.string().describe("The database's url."),
  tables: z.array(z.string()).default([]),
});
const connectors = new Map([
  ["postgres", { parse: (input: unknown, path: string) => parseConfig(section, input, path) }],
]);
const shop = { kind: "postgres", url: "postgres://app@db/shop" };

function failure(input: unknown, environment: NodeJS.ProcessEnv = {}): string {
  try {
    resolveConfig(input, connectors, environment);
  } catch (error) {
    if (error instanceof ConfigError) return `${error.code}: ${error.message} | ${error.hint}`;
  }
  return "no ConfigError";
}

test.each(["", "nats://bus:99999", "nats://a:4222,nats://b:4222"])("%j is no server's url", (servers) => {
  expect(failure({ bus: { servers }, sources: {} })).toMatch(
    /^CONFIG_INVALID: bus\.servers: expected the url of a server, like nats:\/\/host:4222/,
  );
});

test.each(["nats", "nats:4222", "tls://[::1]:4222", "nats://me:p/%@nats:4222"])("%j is a server's url", (servers) => {
  expect(failure({ bus: { servers }, sources: {} })).toBe("no ConfigError");
});

test("a configuration of sources alone gets the defaults", () => {
  const config = resolveConfig({ sources: { shop } }, connectors, {});

  expect(config.bus.access.reveal().servers).toEqual(["nats://127.0.0.1:4222"]);
  expect(config.bus).toMatchObject({ replicas: 1, fsync: 120_000 });
  expect(config.http).toEqual({ host: "127.0.0.1", port: 9464, token: undefined });
  expect(config.automations).toEqual([]);
  expect([...config.sources.keys()]).toEqual(["shop"]);
});

test("a connector parses its own section, without the kind", () => {
  const config = resolveConfig({ sources: { shop: { ...shop, tables: ["public.*"] } } }, connectors, {});

  expect([...config.sources.values()].map(({ kind, config }) => [kind, config.reveal()])).toEqual([
    ["postgres", { url: "postgres://app@db/shop", tables: ["public.*"] }],
  ]);
});

test("each option of the bus changes what is resolved", () => {
  const bus = { servers: ["nats://a", "nats://b"], replicas: 3, fsync: "always" };

  const config = resolveConfig({ bus, sources: {} }, connectors, {});

  expect(config.bus.access.reveal().servers).toEqual(["nats://a", "nats://b"]);
  expect(config.bus).toMatchObject({ replicas: 3, fsync: "always" });
  expect(resolveBusConfig({ bus: { fsync: "1500ms" } }, {}).fsync).toBe(1500);
});

test("an unknown key names the one that was probably meant", () => {
  expect(failure({ bus: { fsnyc: "always" }, sources: {} })).toBe(
    'CONFIG_UNKNOWN_KEY: bus.fsnyc: there is no such option | Did you mean "fsync"?',
  );
  expect(failure({ source: {} })).toBe('CONFIG_UNKNOWN_KEY: source: there is no such option | Did you mean "sources"?');
  expect(failure({ sources: { shop: { ...shop, tabels: [] } } })).toBe(
    'CONFIG_UNKNOWN_KEY: sources.shop.tabels: there is no such option | Did you mean "tables"?',
  );
});

test("an unknown key like no other gets the list of options", () => {
  expect(failure({ bus: { zzz: 1 }, sources: {} })).toBe(
    "CONFIG_UNKNOWN_KEY: bus.zzz: there is no such option | Remove it; the options here are servers, replicas, fsync, maxEventBytes, retention, credentials, tls.",
  );
});

test("a value of the wrong type is named by its path, never quoted", () => {
  expect(failure({ sources: { shop }, defaults: { db: null } })).toMatch(
    /^CONFIG_INVALID: defaults\.db: expected a pool/,
  );
  expect(failure({ sources: { shop: { ...shop, url: 42 } } })).toBe(
    "CONFIG_INVALID: sources.shop.url: expected string, received number | Set it as docs/config.md says: The database's url.",
  );
  expect(failure({ bus: { servers: { secret: "hunter22" } }, sources: {} })).toMatch(
    /^CONFIG_INVALID: bus\.servers: expected string, received object, or expected array, received object \| /,
  );
  expect(failure({ http: { port: 70_000 }, sources: {} })).toMatch(/^CONFIG_INVALID: http\.port: /);
  expect(failure("text")).toMatch(/^CONFIG_INVALID: the configuration: expected object, received string \| /);
});

test("a missing option is named", () => {
  expect(failure({ sources: { shop: { kind: "postgres" } } })).toMatch(
    /^CONFIG_INVALID: sources\.shop\.url: is missing \| /,
  );
  expect(failure({ sources: { shop: {} } })).toMatch(/^CONFIG_INVALID: sources\.shop\.kind: is missing \| /);
});

test("a worker that only receives needs no sources; one that has nothing to do is refused", () => {
  const webhooks = { alerts: { provider: "bearer", bearer: { env: "TOKEN" } } };
  const config = resolveConfig({ webhooks }, new Map(), { TOKEN: "sec-word" });
  expect(config.sources.size).toBe(0);
  expect(() => refuseIdle(config)).not.toThrow();
  expect(() => refuseIdle(resolveConfig({}, new Map(), {}))).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", hint: expect.stringContaining("webhooks") }),
  );
});

test("replicas, fsync and a source's name say what they may be", () => {
  expect(failure({ bus: { replicas: 2 }, sources: {} })).toMatch("bus.replicas: expected 1, 3 or 5");
  expect(failure({ bus: { fsync: "soon" }, sources: {} })).toMatch(
    'bus.fsync: expected "always" or a duration like "2m"',
  );
  expect(failure({ bus: { fsync: "0s" }, sources: {} })).toMatch(
    'bus.fsync: expected "always" or a duration like "2m"',
  );
  expect(failure({ sources: { Shop: shop } })).toMatch("sources.Shop: a source's name is a lower-case letter");
});

test("an unknown kind of source names the one that was probably meant", () => {
  expect(failure({ sources: { shop: { ...shop, kind: "postgers" } } })).toBe(
    'CONFIG_INVALID: sources.shop.kind: there is no connector "postgers" | Did you mean "postgres"?',
  );
});

test("a glob of automations is refused where no file says what it is relative to", () => {
  expect(failure({ sources: {}, automations: "./a/*.ts" })).toMatch(/^CONFIG_INVALID: automations: expected a list/);
});

test("env() takes the variable, else its default, else fails by the variable's name", () => {
  const input = (url: unknown): unknown => ({ sources: { shop: { kind: "postgres", url } } });
  const urlOf = (config: unknown, environment: NodeJS.ProcessEnv): unknown =>
    [...resolveConfig(config, connectors, environment).sources.values()].map((source) => source.config.reveal().url)[0];

  expect(urlOf(input(env("DB")), { DB: "postgres://x/y" })).toBe("postgres://x/y");
  expect(urlOf(input(env("DB", "postgres://d/d")), {})).toBe("postgres://d/d");
  expect(urlOf(input({ env: "DB" }), { DB: "postgres://json/y" })).toBe("postgres://json/y");
  expect(failure(input(env("DB")), { DB: "" })).toBe(
    'ENV_MISSING: sources.shop.url: the environment variable DB is not set | Set DB, or give the option a default: env("DB", "…").',
  );
});

test("MILLRACE_HTTP wins over the configured place", () => {
  const config = resolveConfig({ sources: {}, http: { port: 1 } }, connectors, { MILLRACE_HTTP: "[::1]:9000" });

  expect(config.http).toMatchObject({ host: "::1", port: 9000 });
  expect(failure({ sources: {} }, { MILLRACE_HTTP: "9000" })).toBe(
    "CONFIG_INVALID: MILLRACE_HTTP: expected host:port | Write it like 127.0.0.1:9464 or [::1]:9464.",
  );
});

test("a host that others can reach needs a token", () => {
  const open = { sources: {}, http: { host: "0.0.0.0" } };

  const listen = (input: unknown, environment: NodeJS.ProcessEnv) => () =>
    refuseOpenHttp(resolveConfig(input, connectors, environment).http);
  expect(listen(open, {})).toThrow(/^http: 0\.0\.0\.0 can be reached by others/);
  expect(listen({ sources: {} }, { MILLRACE_HTTP: "10.0.0.1:1" })).toThrow(/can be reached by others/);
  expect(listen({ sources: {} }, { MILLRACE_HTTP: "[::1]:1" })).not.toThrow();
  expect(listen(open, { MILLRACE_HTTP_TOKEN: "t0ken-t0ken" })).not.toThrow();
  expect(resolveConfig(open, connectors, { MILLRACE_HTTP_TOKEN: "t0ken-t0ken" }).http.token?.reveal()).toBe(
    "t0ken-t0ken",
  );
});

test("a resolved configuration prints no password", () => {
  const config = resolveConfig(
    {
      bus: { servers: "nats://me:sw0rdfish@nats:4222" },
      sources: { shop: { ...shop, url: "postgres://app:hunter22@db/shop" } },
    },
    connectors,
    { MILLRACE_HTTP_TOKEN: "t0ken-t0ken" },
  );

  const printed = `${inspect(config, { depth: 9, showHidden: true })} ${JSON.stringify(config)} ${config.bus.access} ${JSON.stringify([...config.sources])}`;

  expect(printed).not.toMatch(/sw0rdfish|hunter22|t0ken/);
  expect(printed).toContain("[redacted]");
});

test("a mask's key comes from the environment alone, and is printed nowhere", () => {
  const keyed = new Map([["postgres", { parse: (input: unknown) => input as { maskKey: string } }]]);
  const sources = (maskKey: unknown) => ({ sources: { shop: { ...shop, maskKey } } });

  expect(failure(sources("written-in-the-file"))).toMatch(/^SECRET_IN_FILE: sources\.shop\.maskKey: .*env\("NAME"\)/);
  expect(failure(sources(env("MASK_KEY", "written-in-the-file")))).toMatch(/^SECRET_IN_FILE/);
  const config = resolveConfig(sources(env("MASK_KEY")), keyed, { MASK_KEY: "from-the-environment" });
  expect(config.sources.get("shop" as SourceId)?.config.reveal().maskKey).toBe("from-the-environment");
  expect(redact("a from-the-environment b")).toBe("a [redacted] b");
});

test.each<readonly [object, string]>([
  [{ retention: { age: "1s" } }, 'bus.retention.age: expected "unlimited" or a duration like "30d", from 1m'],
  [{ retention: { age: "soon" } }, 'bus.retention.age: expected "unlimited" or a duration like "30d", from 1m'],
  [{ retention: { bytes: 10 } }, "bus.retention.bytes: "],
  [{ retention: { discard: "all" } }, "bus.retention.discard: "],
  [{ credentials: {} }, "bus.credentials: expected one of file, nkey, token, or user and password"],
  [{ credentials: { file: "a", user: "b" } }, "bus.credentials: expected one of "],
  [{ credentials: { user: "b" } }, "bus.credentials: expected user and password together"],
  [
    { servers: "nats://a:b@c", credentials: { file: "a" } },
    "bus.credentials: the urls of bus.servers hold credentials too",
  ],
  [{ tls: { cert: "a" } }, "bus.tls: expected cert and key together"],
])("%j is refused", (bus, message) => {
  expect(failure({ bus, sources: {} })).toContain(`CONFIG_INVALID: ${message}`);
});

test.each(["nkey", "token", "password"])("bus.credentials.%s comes from the environment alone", (name) => {
  const bus = { credentials: { [name]: "in the file" } };

  expect(failure({ bus, sources: {} })).toContain(`SECRET_IN_FILE: bus.credentials.${name}: `);
});

test("a column of that name may be masked in the file", () => {
  const tables = [{ match: "public.a", mask: { password: "hash", token: "hash", maskKey: "hash" } }];

  expect(failure({ sources: { a: { kind: "none", tables } } })).not.toContain("SECRET_IN_FILE");
});

test("a log level that there is not is refused", () => {
  expect(failure({ log: { level: "loud" }, sources: {} })).toContain("CONFIG_INVALID: log.level: ");
});
