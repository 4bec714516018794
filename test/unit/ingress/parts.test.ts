// Small parts of the way in: whose requests are counted together, what is left of memory, what check says.

import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { resolveConfig } from "../../../src/config/resolve.ts";
import { ByteBudget, readBody } from "../../../src/ingress/body.ts";
import { ingressFindings } from "../../../src/ingress/findings.ts";
import { addressKey, RateLimit } from "../../../src/ingress/rate-limit.ts";
import { waitFor } from "../../support/wait-for.ts";

test.each([
  ["203.0.113.9", "203.0.113.9"],
  ["::ffff:203.0.113.9", "203.0.113.9"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8::9", "2001:db8:0:0"],
  ["2001:db8:0:0:1::", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["fe80::1%eth0", "fe80:0:0:0"],
])("%s is counted as %s", (address, key) => {
  expect(addressKey(address)).toBe(key);
});

test("a bucket gives its limit at once, then one by one as it fills", () => {
  let now = 0;
  const rate = new RateLimit({ limit: 4, perMs: 1000 }, { now: () => now });
  expect([1, 2, 3, 4].map(() => rate.take("a"))).toEqual([0, 0, 0, 0]);
  expect(rate.take("a")).toBe(250);
  expect(rate.take("b")).toBe(0);
  now = 250;
  expect(rate.take("a")).toBe(0);
  expect(rate.take("a")).toBe(250);
  now = 100_000;
  expect([1, 2, 3, 4].map(() => rate.take("a"))).toEqual([0, 0, 0, 0]);
  expect(rate.take("a")).toBe(250);
});

test("twenty thousand addresses do not make whoever is at its limit forgotten while it asks", () => {
  const rate = new RateLimit({ limit: 1, perMs: 1000 }, { now: () => 0 });
  rate.take("flood");
  for (let nth = 0; nth < 20_000; nth++) {
    rate.take(`other ${nth}`);
    if (nth % 5000 === 0) expect(rate.take("flood")).toBe(1000);
  }
  expect(rate.take("flood")).toBe(1000);
});

test("what was taken of the budget and released is there again", () => {
  const budget = new ByteBudget(10);
  expect([budget.take(6), budget.take(5), budget.take(4)]).toEqual([true, false, true]);
  budget.release(6);
  expect(budget.take(6)).toBe(true);
});

test("a body that there is no room for is put off, and the room comes back with the one that left", async () => {
  const budget = new ByteBudget(64 * 1024);
  let begun = 0;
  const server = createServer((request, response) => {
    begun++;
    void readBody(request, 100_000, budget).then((read) => response.end("failed" in read ? read.failed : "whole"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const body = "a".repeat(40_000);
  const send = async () => (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body })).text();
  const first = connect({ host: "127.0.0.1", port });
  first.on("error", () => {});
  first.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40001\r\n\r\n${body}`); // all but its last byte
  await waitFor(() => begun === 1, { what: "the first to be read" });
  await waitFor(async () => (await send()) === "busy", { what: "the second to be put off" });
  first.destroy();
  await waitFor(async () => (await send()) === "whole", { what: "room" });
});

test("check says where receivers are reached, and what they leave unprotected", () => {
  const secret = { env: "A" };
  const time = { header: "x-time" };
  const { received } = resolveConfig(
    {
      sources: {},
      webhooks: {
        code: { provider: "github", secret },
        erp: { provider: "hmac", secret, header: "x-sig", timestamp: time, id: { header: "x-id" } },
        whole: {
          provider: "hmac",
          secret,
          header: "x-sig",
          timestamp: time,
          signed: "{timestamp}.{body}",
          id: { header: "x-id" },
        },
        plain: { provider: "bearer", bearer: secret },
        guarded: { provider: "bearer", bearer: secret, replayGuard: true },
      },
      events: { token: secret, types: { "a.b": {} } },
    },
    new Map(),
    { A: "value-of-a" },
  );
  expect(ingressFindings(received).map(({ level, code, subject }) => `${level} ${code} ${subject}`)).toEqual([
    "ok RECEIVER receiver code",
    "ok RECEIVER receiver erp",
    "warn WEBHOOK_TIMESTAMP_UNSIGNED receiver erp",
    "ok RECEIVER receiver whole",
    "ok RECEIVER receiver plain",
    "warn WEBHOOK_WITHOUT_ID receiver plain",
    "ok RECEIVER receiver guarded",
    "ok EVENT_TYPE event system.script.completed",
    "ok EVENT_TYPE event system.script.failed",
    "ok EVENT_TYPE event a.b",
  ]);
});
