import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { retryAfterMs } from "../../../../src/egress/send/retry-after.ts";
import { signedHeaders, webhookId } from "../../../../src/egress/send/sign.ts";

test("what is signed is what the package of Standard Webhooks verifies, by each key, whatever the body", () => {
  const key = fc.uint8Array({ minLength: 24, maxLength: 64 });
  fc.assert(
    fc.property(fc.array(key, { minLength: 1, maxLength: 3 }), fc.json(), (keys, body) => {
      const at = Math.floor(Date.now() / 1000);
      const buffers = keys.map((one) => Buffer.from(one));
      const headers = signedHeaders(buffers, { id: "msg_1", at, body });
      for (const one of buffers) new Webhook(one.toString("base64")).verify(body, { ...headers });
    }),
  );
});

test("the scheme's published example is signed as it stands there", () => {
  const key = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
  const signed = signedHeaders([key], {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    at: 1_614_265_330,
    body: '{"test": 2432232314}',
  });
  expect(signed["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

test("an id is the same for the same event, and another one for another endpoint, automation or replay", () => {
  const event = { key: "a.b.c", endpoint: "crm", automation: "to-crm", run: undefined };
  expect(webhookId(event)).toBe(webhookId({ ...event }));
  const others = [
    event,
    { ...event, key: "a" },
    { ...event, endpoint: "erp" },
    { ...event, automation: "b" },
    { ...event, run: "r" },
  ];
  const ids = others.map(webhookId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^msg_[0-9a-f]{40}$/);
});

const NOW = Date.parse("2026-01-31T12:00:00Z");
test.each([
  ["2", 2000],
  [" 10 ", 10_000],
  ["Sat, 31 Jan 2026 12:00:03 GMT", 3000],
  ["999999", 3_600_000],
  ["0", undefined],
  ["Sat, 31 Jan 2026 11:00:00 GMT", undefined],
  ["-1", undefined],
  ["soon", undefined],
  ["1.5", undefined],
  ["2026", 2_026_000],
  [undefined, undefined],
])("Retry-After %j is %s ms, an hour at most", (value, ms) => {
  expect(retryAfterMs(value, NOW)).toBe(ms);
});
