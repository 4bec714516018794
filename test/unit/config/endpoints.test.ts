import { expect, test } from "vitest";
import { env } from "../../../src/config/env.ts";
import { resolveConfig } from "../../../src/config/resolve.ts";

const KEY = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const environment = {
  KEY,
  OLD: `whsec_${Buffer.alloc(24, 9).toString("base64")}`,
  TOKEN: "token-of-a-test",
  SHORT: "whsec_AAAA",
};

const URL_OF = { url: "https://crm.example.com/hooks" };

function endpointsOf(endpoints: unknown): ReadonlyMap<string, { reveal(): unknown }> {
  return resolveConfig({ sources: {}, endpoints }, new Map(), environment).endpoints;
}

test("an endpoint without a kind is a webhook, with the defaults", () => {
  expect(endpointsOf({ crm: URL_OF }).get("crm")?.reveal()).toEqual({
    ...{ url: "https://crm.example.com/hooks", timeout: 10_000, concurrency: 10, allowPrivate: false },
    ...{ pauseAfter: 300_000, headers: {} },
  });
});

test("a key is taken as Svix and as Supabase write it, and without anything before it", () => {
  for (const before of ["", "whsec_", "v1,whsec_"]) {
    const written = { KEY: before + KEY.slice("whsec_".length) };
    const { endpoints } = resolveConfig(
      { sources: {}, endpoints: { crm: { ...URL_OF, secret: env("KEY") } } },
      new Map(),
      written,
    );
    expect(endpoints.get("crm")?.reveal()).toMatchObject({ secret: [Buffer.alloc(32, 7)] });
  }
});

test("one key or several sign", () => {
  const one = endpointsOf({ crm: { ...URL_OF, secret: env("KEY") } });
  expect(one.get("crm")?.reveal()).toMatchObject({ secret: [Buffer.alloc(32, 7)] });
  const two = endpointsOf({ crm: { ...URL_OF, secret: [env("KEY"), env("OLD")] } });
  expect(two.get("crm")?.reveal()).toMatchObject({ secret: [Buffer.alloc(32, 7), Buffer.alloc(24, 9)] });
});

test("each kind has what it needs", () => {
  const all = endpointsOf({
    a: { kind: "slack", url: "https://hooks.slack.com/services/x" },
    b: { kind: "email", smtp: "smtps://me:word@mail.example.com", from: "Ops <ops@example.com>" },
    c: { kind: "github", repository: "acme/shop", token: env("TOKEN") },
    d: { kind: "pagerduty", routingKey: env("TOKEN") },
    e: { kind: "itsm", url: "https://desk.example.com/tickets", ticket: "/result/sys_id", bearer: env("TOKEN") },
  });
  expect([...all.values()].map((one) => (one.reveal() as { kind: string }).kind)).toEqual([
    ...["slack", "email", "github", "pagerduty", "itsm"],
  ]);
  expect(all.get("c")?.reveal()).toMatchObject({ url: "https://api.github.com/", ref: "main" });
});

const REFUSED: readonly (readonly [what: string, endpoint: unknown, code: string, says: string])[] = [
  ["no url", { secret: env("KEY") }, "CONFIG_INVALID", "endpoints.crm.url: is missing"],
  ["a file", { url: "file:///etc/passwd" }, "CONFIG_INVALID", "endpoints.crm.url: expected a url of http or https"],
  ["ftp", { url: "ftp://example.com/" }, "CONFIG_INVALID", "endpoints.crm.url: expected a url of http or https"],
  ["a word", { url: "crm" }, "CONFIG_INVALID", "endpoints.crm.url: expected a url"],
  ["a user and a password", { url: "https://u:p@example.com/" }, "CONFIG_INVALID", "without user and password"],
  ["a secret in the file", { ...URL_OF, secret: KEY }, "SECRET_IN_FILE", "endpoints.crm.secret"],
  [
    "a secret in a list in the file",
    { ...URL_OF, secret: [env("KEY"), KEY] },
    "SECRET_IN_FILE",
    "endpoints.crm.secret.1",
  ],
  ["a secret that is not set", { ...URL_OF, secret: env("NOWHERE") }, "ENV_MISSING", "endpoints.crm.secret"],
  ["a key that is too short", { ...URL_OF, secret: env("SHORT") }, "CONFIG_INVALID", "endpoints.crm.secret"],
  ["an unknown kind", { ...URL_OF, kind: "fax" }, "CONFIG_INVALID", "endpoints.crm.kind: expected the kind"],
  ["an unknown option", { ...URL_OF, timout: "1s" }, "CONFIG_UNKNOWN_KEY", "endpoints.crm.timout"],
  [
    "a header that is the request's own",
    { ...URL_OF, headers: { "Webhook-Id": "x" } },
    "CONFIG_INVALID",
    "not for the configuration",
  ],
  ["a header of two lines", { ...URL_OF, headers: { a: "x\r\ny: z" } }, "CONFIG_INVALID", "expected text of one line"],
  ["no rate", { ...URL_OF, rate: { limit: 0, per: "1s" } }, "CONFIG_INVALID", "endpoints.crm.rate.limit"],
  [
    "a mail server by http",
    { kind: "email", smtp: "http://mail", from: "a@b" },
    "CONFIG_INVALID",
    "endpoints.crm.smtp",
  ],
  [
    "options in a mail server's url",
    { kind: "email", smtp: "smtp://mail?proxy=x", from: "a@b" },
    "CONFIG_INVALID",
    "endpoints.crm.smtp",
  ],
  ["a ticket that is no pointer", { kind: "itsm", ...URL_OF, ticket: "id" }, "CONFIG_INVALID", "endpoints.crm.ticket"],
];

test.each(REFUSED)("%s is refused, and the error names the endpoint and no value", (_what, crm, code, says) => {
  const attempt = (): unknown => endpointsOf({ crm });
  expect(attempt).toThrow(
    expect.objectContaining({ name: "ConfigError", code, message: expect.stringContaining(says) }),
  );
  expect(attempt).not.toThrow(KEY);
});

test.each(["Crm", "a.b", "a/b", "1a", ""])("%j is no endpoint's name", (name) => {
  expect(() => endpointsOf({ [name]: URL_OF })).toThrow(/an endpoint's name is/);
});
