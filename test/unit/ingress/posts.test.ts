// Typed POSTs over real sockets: token, schema, idempotency; and the schemas that they may be held to.

import { expect, test } from "vitest";
import { z } from "zod";
import { ConfigError } from "../../../src/errors.ts";
import { dataCheckOf } from "../../../src/ingress/data-check.ts";
import { ask, openIngress, posted, TOKEN } from "../../support/ingress.ts";

const types = {
  "user.signed_in": { type: "object", required: ["user"], properties: { user: { type: "string" } } },
  "form.sent": z.object({ email: z.string() }),
};
const user = '{"user":"ada"}';

test("a POST that fits its schema is stored as it came; the same again without a key is another event", async () => {
  const { port, stored } = await openIngress({ types });
  expect(await ask(port, posted("user.signed_in", user))).toMatchObject({ status: 200, json: { status: "accepted" } });
  expect((await ask(port, posted("user.signed_in", user))).json?.status).toBe("accepted");
  expect((await ask(port, posted("form.sent", '{ "email":"a@b" }'))).json?.status).toBe("accepted");
  expect(stored().map(({ text }) => text)).toEqual([user, user, '{ "email":"a@b" }']);
  expect(stored()[0]?.subject).toMatch(/^events\._post\.user\.signed_in\.p\d\d$/);
});

test("with an Idempotency-Key it is one event, of its type alone; another body under the key is 422", async () => {
  const { port, stored } = await openIngress({ types });
  const key = [["Idempotency-Key", "k-1"]] as const;
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(port, posted("user.signed_in", user, key))));
  expect(answers.filter(({ json }) => json?.status === "accepted")).toHaveLength(1);
  expect(answers.filter(({ json }) => json?.status === "duplicate")).toHaveLength(9);
  const other = await ask(port, posted("user.signed_in", '{"user":"bob"}', key));
  expect(other).toMatchObject({ status: 422, json: { status: "refused", reason: "idempotency-key" } });
  expect((await ask(port, posted("form.sent", '{"email":"a"}', key))).json?.status).toBe("accepted");
  expect(stored()).toHaveLength(2);
});

test.each([
  ["data that does not fit", posted("user.signed_in", '{"user":7}'), 422, "schema"],
  ["data that does not fit a library's schema", posted("form.sent", "{}"), 422, "schema"],
  ["null", posted("user.signed_in", "null"), 422, "schema"],
  ["no JSON", posted("user.signed_in", '{"user":'), 400, "body"],
  ["nothing", posted("user.signed_in", ""), 400, "body"],
  ["a byte order mark", posted("user.signed_in", `\ufeff${user}`), 400, "body"],
  ["bytes that are no text", { ...posted("user.signed_in", ""), body: Buffer.from([0x22, 0xff, 0x22]) }, 400, "body"],
  ["no token", { ...posted("user.signed_in", user), headers: [] }, 401, "token"],
  [
    "a wrong token",
    { ...posted("user.signed_in", user), headers: [["Authorization", `Bearer ${TOKEN}x`]] as const },
    401,
    "token",
  ],
  [
    "another content type",
    {
      ...posted("user.signed_in", user),
      headers: [
        ["Content-Type", "text/plain"],
        ["Authorization", `Bearer ${TOKEN}`],
      ] as const,
    },
    415,
    "media",
  ],
  [
    "two keys",
    posted("user.signed_in", user, [
      ["Idempotency-Key", "a"],
      ["Idempotency-Key", "b"],
    ]),
    400,
    "idempotency-key",
  ],
  [
    "a key of 256 letters",
    posted("user.signed_in", user, [["Idempotency-Key", "k".repeat(256)]]),
    400,
    "idempotency-key",
  ],
  ["an unknown type", posted("user.unheard", user), 404, "path"],
  ["a type of every object", posted("__proto__", user), 404, "path"],
  ["another method", { ...posted("user.signed_in", user), method: "PUT" }, 405, "method"],
  ["more than a mebibyte", posted("user.signed_in", user, [["Content-Length", String(2 ** 20 + 1)]]), 413, "size"],
])("%s is refused", async (_, request, status, reason) => {
  const { port, stored } = await openIngress({ types });
  expect(await ask(port, request)).toMatchObject({ status, json: { status: "refused", reason } });
  expect(stored()).toEqual([]);
});

test("a schema of any library is asked, also one that answers later, or throws", async () => {
  const standard = (validate: (value: unknown) => unknown) =>
    dataCheckOf("a.b", { "~standard": { version: 1, vendor: "test", validate } });
  expect(await standard((value) => ({ value }))(1)).toBe(true);
  expect(await standard(async () => ({ issues: [{ message: "no" }] }))(1)).toBe(false);
  const { port, counters } = await openIngress({
    types: {
      "a.b": {
        "~standard": {
          version: 1,
          vendor: "test",
          validate: () => {
            throw new Error("x");
          },
        },
      },
    },
  });
  expect(await ask(port, posted("a.b", "1"))).toMatchObject({ status: 422, json: { reason: "schema" } });
  expect(counters.counts("_post").refused).toEqual({ schema: 1 });
});

test("a JSON Schema is of 2020-12, or of draft 7 where it says so", () => {
  const pair = { prefixItems: [{ type: "number" }], items: false };
  expect(dataCheckOf("a.b", pair)([1])).toBe(true);
  expect(dataCheckOf("a.b", pair)([1, 2])).toBe(false);
  expect(dataCheckOf("a.b", { type: "object", required: ["user"] })({ user: 1 })).toBe(true);
  const draft7 = {
    $schema: "http://json-schema.org/draft-07/schema#",
    items: [{ type: "number" }],
    additionalItems: false,
  };
  expect(dataCheckOf("a.b", draft7)([1])).toBe(true);
  expect(dataCheckOf("a.b", draft7)([1, 2])).toBe(false);
});

test.each([
  ["an unknown keyword", { requird: ["user"] }],
  ["an unknown type", { type: "no type" }],
  ["a schema elsewhere", { $ref: "https://example.com/schema.json" }],
  ["another Standard", { "~standard": { version: 2 } }],
  ["$async", { $async: true }],
])("%s is refused at the start", (_, schema) => {
  expect(() => dataCheckOf("a.b", schema)).toThrow(ConfigError);
});
