// What is said of a wrong receiver or a wrong typed event, and what a right one becomes.

import { expect, test } from "vitest";
import { z } from "zod";
import { refuseIdle, resolveConfig } from "../../../src/config/resolve.ts";
import { ConfigError } from "../../../src/errors.ts";
import { redact } from "../../../src/telemetry/redact.ts";

const environment = {
  NEW: "sec-new-value",
  OLD: "sec-old-value",
  STANDARD: "whsec_c2VjcmV0",
  PAIR: "user:word",
  EMPTY: "",
};
const secret = { env: "NEW" };

const resolved = (input: object) => resolveConfig({ sources: {}, ...input }, new Map(), environment);

function refusal(input: object): string {
  try {
    resolved(input);
  } catch (error) {
    if (error instanceof ConfigError) return `${error.code}: ${error.message} | ${error.hint}`;
    throw error;
  }
  return "no ConfigError";
}

test.each([
  ["an unknown provider", { provider: "strype", secret }, /^CONFIG_INVALID: webhooks\.a\.provider: .*'stripe'/],
  ["no secret", { provider: "stripe" }, /^CONFIG_INVALID: webhooks\.a\.secret: is missing/],
  ["no token", { provider: "alertmanager" }, /^CONFIG_INVALID: webhooks\.a\.bearer: is missing/],
  ["no way to verify", { provider: "cloudevents" }, /^CONFIG_INVALID: webhooks\.a\.bearer: is missing/],
  ["a secret in the file", { provider: "github", secret: "written-here" }, /^SECRET_IN_FILE: webhooks\.a\.secret:/],
  ["a default", { provider: "github", secret: { env: "NEW", default: "x" } }, /^SECRET_IN_FILE: webhooks\.a\.secret:/],
  [
    "one of two in the file",
    { provider: "stripe", secret: [secret, "written-here"] },
    /^SECRET_IN_FILE: webhooks\.a\.secret\.1:.* \| Write secret: /,
  ],
  [
    "an empty secret",
    { provider: "github", secret: { env: "EMPTY" } },
    /^ENV_MISSING: webhooks\.a\.secret: .*EMPTY is not set, or empty \| Set EMPTY\.$/,
  ],
  [
    "one of two empty",
    { provider: "stripe", secret: [secret, { env: "EMPTY" }] },
    /^ENV_MISSING: webhooks\.a\.secret\.1:/,
  ],
  [
    "no secrets",
    { provider: "stripe", secret: [] },
    /^CONFIG_INVALID: webhooks\.a\.secret: expected at least one secret/,
  ],
  [
    "an unknown option",
    { provider: "github", secret, secrets: 1 },
    /^CONFIG_UNKNOWN_KEY: webhooks\.a\.secrets: .*Did you mean "secret"\?/,
  ],
  [
    "another provider's option",
    { provider: "github", secret, header: "x" },
    /^CONFIG_UNKNOWN_KEY: webhooks\.a\.header:/,
  ],
  ["hmac without a header", { provider: "hmac", secret }, /^CONFIG_INVALID: webhooks\.a\.header: is missing/],
  [
    "a template without the body",
    { provider: "hmac", secret, header: "x", signed: "{timestamp}" },
    /^CONFIG_INVALID: webhooks\.a\.signed: .*one \{body\}/,
  ],
  [
    "a time that is signed and not named",
    { provider: "hmac", secret, header: "x", signed: "{timestamp}.{body}" },
    /^CONFIG_INVALID: webhooks\.a\.timestamp: is missing/,
  ],
  [
    "an id that is no place",
    { provider: "hmac", secret, header: "x", id: "x-id" },
    /^CONFIG_INVALID: webhooks\.a\.id: expected \{ header/,
  ],
  [
    "a pointer that is none",
    { provider: "bearer", bearer: secret, type: { pointer: "event" } },
    /^CONFIG_INVALID: webhooks\.a\.type/,
  ],
  [
    "a secret of Standard Webhooks that is no base64",
    { provider: "standard", secret },
    /^CONFIG_INVALID: webhooks\.a\.secret: expected base64/,
  ],
  [
    "a password without a user",
    { provider: "basic", basic: secret },
    /^CONFIG_INVALID: webhooks\.a\.basic: expected user:password/,
  ],
  [
    "a rate of nothing",
    { provider: "github", secret, rate: { limit: 0, per: "1s" } },
    /^CONFIG_INVALID: webhooks\.a\.rate\.limit/,
  ],
])("a receiver with %s is refused", (_, receiver, said) => {
  expect(refusal({ webhooks: { a: receiver } })).toMatch(said);
  expect(refusal({ webhooks: { a: receiver } })).not.toMatch(/written-here|sec-/);
});

test.each(["a/b", "a.b", "A", "1a", "", "a-b", "a".repeat(32)])("%j cannot name a receiver", (name) => {
  expect(refusal({ webhooks: { [name]: { provider: "github", secret } } })).toMatch(
    /a receiver's name is a lower-case letter/,
  );
});

test.each([
  ["types without a token", { types: { "user.signed_in": {} } }, /^CONFIG_INVALID: events\.token: is missing/],
  ["a token in the file", { token: "written-here", types: {} }, /^SECRET_IN_FILE: events\.token:/],
  [
    "a type without a name",
    { token: secret, types: { user: {} } },
    /^CONFIG_INVALID: events\.types\.user: a type is aggregate and name/,
  ],
  ["a type that needs escaping", { token: secret, types: { "user.a b": {} } }, /a type is aggregate and name/],
  [
    "a schema that is none",
    { token: secret, types: { "user.a": true } },
    /^CONFIG_INVALID: events\.types\.user\.a: expected a JSON Schema/,
  ],
])("typed events with %s are refused", (_, events, said) => {
  expect(refusal({ events })).toMatch(said);
});

test("a receiver has its secrets as a list, times in ms and headers in small letters", () => {
  const { received } = resolved({
    webhooks: {
      erp: {
        ...{ provider: "hmac", secret: [secret, { env: "OLD" }], header: "X-Signature", signed: "{timestamp}.{body}" },
        ...{ timestamp: { header: "X-Time" }, id: { pointer: "/nr/id" }, type: { header: "X-Kind" } },
        rate: { limit: 10, per: "2s" },
      },
      std: { provider: "standard", secret: { env: "STANDARD" } },
      boxed: { provider: "basic", basic: { env: "PAIR" }, maxBytes: 10, replayGuard: true },
    },
  });
  expect([...received.webhooks].map(([name, section]) => [name, section.reveal()])).toEqual([
    [
      "erp",
      {
        ...{ provider: "hmac", secret: ["sec-new-value", "sec-old-value"], header: "x-signature", algorithm: "sha256" },
        ...{ encoding: "hex", prefix: "", signed: "{timestamp}.{body}", replayGuard: false },
        ...{
          timestamp: { header: "x-time", toleranceSeconds: 300 },
          id: { pointer: "/nr/id" },
          type: { header: "x-kind" },
        },
        rate: { limit: 10, perMs: 2000 },
      },
    ],
    ["std", { provider: "standard", secret: ["whsec_c2VjcmV0"], replayGuard: false }],
    ["boxed", { provider: "basic", basic: ["user:word"], maxBytes: 10, replayGuard: true }],
  ]);
  expect(received.ingress).toEqual({ host: "127.0.0.1", port: 8080, addressRate: { limit: 1000, perMs: 1000 } });
});

test("each secret of a list is kept out of what is printed", () => {
  resolved({ webhooks: { a: { provider: "stripe", secret: [secret, { env: "OLD" }] } } });
  expect(redact("sec-new-value and sec-old-value")).toBe("[redacted] and [redacted]");
});

test("schemas of typed events are left as they are, whatever stands in them", () => {
  const json = { type: "object", properties: { env: { env: "NOT_SET" } } };
  const standard = z.object({ user: z.string() });
  const { received } = resolved({
    events: { token: secret, types: { "user.signed_in": json, "user.left": standard } },
  });
  expect(received.types.get("user.signed_in")).toBe(json);
  expect(received.types.get("user.left")).toBe(standard);
  expect(received.tokens.reveal()).toEqual(["sec-new-value"]);
});

test.each([
  "whsec_",
  "v1,whsec_",
  "v1,c2Vj",
  "whsec_==",
  "whsec_A",
  "=",
  "A=",
  "whsec_c2V=",
  "whsec_c2Vj=",
  "c2Vjc===",
  "c2V jcmV0",
  "c2Vj-mV0",
])("%j is no secret of Standard Webhooks: what decodes to nothing is a key that everybody has", (text) => {
  const given = { sources: {}, webhooks: { a: { provider: "standard", secret: { env: "GIVEN" } } } };
  expect(() => resolveConfig(given, new Map(), { GIVEN: text })).toThrow("expected base64");
});

test("whoever may post may tell how scripts ended, and nobody without a token", () => {
  const types = ["system.script.completed", "system.script.failed"];
  expect([...resolved({ events: { token: secret } }).received.types.keys()]).toEqual(types);
  expect([...resolved({}).received.types.keys()]).toEqual([]);
});

test("a worker that only receives has something to do", () => {
  expect(() => refuseIdle(resolved({ webhooks: { a: { provider: "github", secret } } }))).not.toThrow();
  expect(() => refuseIdle(resolved({ events: { token: secret, types: { "a.b": {} } } }))).not.toThrow();
  expect(() => refuseIdle(resolved({ ingress: { port: 0 } }))).toThrow("nothing to do");
});
