// What `check` says of endpoints, without connecting to any.

import { expect, test } from "vitest";
import { resolveConfig } from "../../../src/config/resolve.ts";
import { endpointFindings } from "../../../src/egress/check-endpoints.ts";

const environment = { KEY: `whsec_${Buffer.alloc(32, 7).toString("base64")}` };
const secret = { env: "KEY" };

/** Level and code of each finding about the one endpoint. */
async function found(endpoint: object): Promise<readonly string[]> {
  const { endpoints } = resolveConfig({ sources: {}, endpoints: { crm: endpoint } }, new Map(), environment);
  const findings = await endpointFindings(endpoints);
  for (const { subject } of findings) expect(subject).toBe("endpoint crm");
  return findings.map(({ level, code }) => `${level} ${code}`);
}

test("an endpoint of https that is signed, at an address of the internet, is well", async () => {
  expect(await found({ url: "https://8.8.8.8/hooks", secret })).toEqual(["ok ENDPOINT"]);
});

test("what goes over http can be read on the way, unless the endpoint lies inside", async () => {
  expect(await found({ url: "http://8.8.8.8/hooks", secret })).toEqual(["warn ENDPOINT_PLAIN"]);
  expect(await found({ url: "http://127.0.0.1/hooks", secret, allowPrivate: true })).toEqual(["ok ENDPOINT"]);
});

test("a webhook without a secret is unsigned; other kinds have their own proof", async () => {
  expect(await found({ url: "https://8.8.8.8/hooks" })).toEqual(["warn ENDPOINT_UNSIGNED"]);
  expect(await found({ kind: "slack", url: "https://8.8.8.8/services" })).toEqual(["ok ENDPOINT"]);
  expect(await found({ kind: "itsm", url: "https://8.8.8.8/desk", ticket: "/id" })).toEqual(["ok ENDPOINT"]);
  expect(await found({ kind: "email", smtp: "smtp://8.8.8.8", from: "a@example.com" })).toEqual(["ok ENDPOINT"]);
});

test("an address inside is refused, in each of its forms, and by a name that leads there", async () => {
  for (const host of ["10.0.0.1", "[::1]", "[::ffff:169.254.169.254]", "2130706433", "localhost"])
    expect(await found({ url: `https://${host}/hooks`, secret })).toEqual(["fail ENDPOINT_ADDRESS_REFUSED"]);
});

test("a name without an address is told of, whether or not the endpoint lies inside", async () => {
  const url = "https://nowhere.invalid/hooks"; // RFC 6761: no resolver has an address for it
  expect(await found({ url, secret })).toEqual(["warn ENDPOINT_UNREACHABLE"]);
  expect(await found({ url, secret, allowPrivate: true })).toEqual(["warn ENDPOINT_UNREACHABLE"]);
});

test("each thing is said", async () => {
  expect(await found({ url: "http://127.0.0.1/" })).toEqual([
    "fail ENDPOINT_ADDRESS_REFUSED",
    "warn ENDPOINT_PLAIN",
    "warn ENDPOINT_UNSIGNED",
  ]);
});
