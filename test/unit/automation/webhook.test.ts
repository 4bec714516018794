// Triggers on webhooks and on typed POSTs: what they subscribe to, what they hand out, what they refuse.

import { expect, test } from "vitest";
import { automationFindings } from "../../../src/automation/define/check-automations.ts";
import { refuseUnfit } from "../../../src/automation/run/run-automations.ts";
import { filtersBySource } from "../../../src/automation/run/tx-databases.ts";
import { encodeWorkerEvent } from "../../../src/bus/encode-event.ts";
import { MillraceError } from "../../../src/errors.ts";
import type { StoredMessage } from "../../../src/event/parse-event.ts";
import { parsePostedEvent, postedEvent } from "../../../src/event/posted-event.ts";
import { parseWebhookEvent, webhookEvent } from "../../../src/event/webhook-event.ts";
import type { WorkerEvent } from "../../../src/event/worker-event.ts";
import { automation, event, webhook } from "../../../src/index.ts";
import { given, received } from "../../../src/testing.ts";

const time = "2026-11-30T10:00:00.000Z";

function stored(one: WorkerEvent): StoredMessage {
  const { subject, head, data } = encodeWorkerEvent(one);
  return { subject, header: (name) => new RegExp(`^${name}: (.*)\r$`, "m").exec(head)?.[1], data, sequence: 7 };
}

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  return "none";
};

test("a webhook is stored with its body byte for byte, and read with it parsed", () => {
  const text = '{ "one":1.0, "big":12345678901234567890, "dup":1, "dup":2, "esc":"\\u00e9" }\n';
  const json = Buffer.from(text);
  const one = webhookEvent({
    receiver: "payments",
    id: "evt_1",
    type: "invoice.paid",
    time,
    headers: { "x-a": "b" },
    json,
    raw: undefined,
  });
  expect(Buffer.from(one.data).toString()).toBe(`{"type":"invoice.paid","headers":{"x-a":"b"},"body":${text}}`);
  const message = stored(one);
  expect(message.subject).toMatch(/^events\._in\.payments\.invoice~2Epaid\.p\d\d$/);
  expect(parseWebhookEvent(message)).toEqual({
    ...{ id: "payments.evt_1", type: "invoice.paid", time, headers: { "x-a": "b" }, raw: undefined, sequence: 7 },
    body: { one: 1, big: 12345678901234567000, dup: 2, esc: "\u00e9" },
  });
});

test("what is no JSON is kept in base64, without a body", () => {
  const raw = Buffer.from([0, 255, 13, 10]);
  const one = webhookEvent({ receiver: "boxed", id: "1", type: "_", time, headers: {}, json: undefined, raw });
  expect(JSON.parse(Buffer.from(one.data).toString())).toEqual({ type: "_", headers: {}, raw: "AP8NCg==" });
  expect(parseWebhookEvent(stored(one))).toMatchObject({ body: undefined, raw: "AP8NCg==" });
});

test("an id and a type that would break out of subject and headers are escaped, and come back as they were", () => {
  const [id, type] = ['evt\r\nNats-Rollup: all\r\n"%', "a.*.>.\u00e9 \r\n$JS"];
  const one = webhookEvent({
    receiver: "payments",
    id,
    type,
    time,
    headers: {},
    json: Buffer.from("{}"),
    raw: undefined,
  });
  const message = stored(one);
  expect(message.subject.split(".")).toHaveLength(5);
  expect(message.subject).toMatch(/^[\x21-\x7e]+$/);
  expect(message.header("Nats-Rollup")).toBeUndefined();
  expect(parseWebhookEvent(message)).toMatchObject({ id: `payments.${id}`, type });
});

test.each([
  ["no JSON", "{"],
  ["no object", "1"],
  ["no type", '{"headers":{}}'],
  ["no headers", '{"type":"x"}'],
])("a webhook's event with %s cannot be read", (_, text) => {
  const message = {
    ...stored(
      webhookEvent({ receiver: "a", id: "1", type: "x", time, headers: {}, json: Buffer.from("{}"), raw: undefined }),
    ),
    data: Buffer.from(text),
  };
  expect(codeOf(() => parseWebhookEvent(message))).toBe("EVENT_UNDECODABLE");
});

test("webhook() subscribes to the types that it names, and without one to all", () => {
  const filters = (on: ReturnType<typeof webhook>) => on.subscriptions({ outboxes: [] }).map(({ filter }) => filter);
  expect(filters(webhook("payments", "invoice.paid", "x"))).toEqual([
    "events._in.payments.invoice~2Epaid.*",
    "events._in.payments.x.*",
  ]);
  expect(filters(webhook("payments"))).toEqual(["events._in.payments.*.*"]);
});

test("of filters where one covers another a durable gets the wide one alone", () => {
  const triggers = [webhook("code", "push"), webhook("code"), webhook("code", "push"), webhook("erp", "push")];
  expect([...filtersBySource(triggers, { outboxes: [] }).values()]).toEqual([
    ["events._in.code.*.*", "events._in.erp.push.*"],
  ]);
});

test("a receiver whose name another one's begins with hears only its own", () => {
  const other = stored(
    webhookEvent({ receiver: "pay2", id: "1", type: "x", time, headers: {}, json: Buffer.from("{}"), raw: undefined }),
  );
  expect(webhook("pay").decode(other)).toBeUndefined();
  expect(webhook("pay2", "x").decode(other)).toMatchObject({ type: "x" });
  expect(webhook("pay2", "y").decode(other)).toBeUndefined();
});

test("a name that no receiver can have, and a type that is empty, are refused where they are written", () => {
  expect(codeOf(() => webhook("a/b"))).toBe("AUTOMATION_INVALID");
  expect(codeOf(() => webhook("a", ""))).toBe("AUTOMATION_INVALID");
  expect(codeOf(() => webhook(undefined as unknown as string))).toBe("AUTOMATION_INVALID");
});

test("an automation on a receiver that is not there is refused by a start, and a finding of check", () => {
  const lost = automation("lost", { on: webhook("nobody", "x") }, () => {});
  const config = { outboxes: [], receivers: ["code"] };
  expect(codeOf(() => refuseUnfit([lost], config))).toBe("AUTOMATION_WITHOUT_RECEIVER");
  expect(codeOf(() => refuseUnfit([automation("ok", { on: webhook("code") }, () => {})], config))).toBe("none");
  expect(automationFindings([lost], { all: [], ...config }, new Map())).toMatchObject([
    { level: "fail", code: "AUTOMATION_WITHOUT_RECEIVER" },
  ]);
});

test("event() hears a POST of its type where the configuration has the type, and needs no outbox then", () => {
  const on = event("user.signed_in");
  const subscriptions = (posted: readonly string[]) =>
    on.subscriptions({ outboxes: [], posted }).map(({ filter }) => filter);
  expect(subscriptions(["user.signed_in", "user.left"])).toEqual(["events._post.user.signed_in.*"]);
  expect(subscriptions(["user.left"])).toEqual([]);
  const listens = automation("listens", { on }, () => {});
  expect(codeOf(() => refuseUnfit([listens], { outboxes: [], posted: ["user.signed_in"] }))).toBe("none");
  expect(codeOf(() => refuseUnfit([listens], { outboxes: [], posted: ["user.left"] }))).toBe(
    "AUTOMATION_WITHOUT_OUTBOX",
  );
});

test("a POST is a domain event without a key", () => {
  const message = stored(postedEvent("user.signed_in", "a1", Buffer.from('{"user":"x"}'), time));
  expect(message.subject).toMatch(/^events\._post\.user\.signed_in\.p\d\d$/);
  expect(event("user.signed_in").decode(message)).toEqual({
    ...{ id: "user.signed_in.a1", type: "user.signed_in", source: "_post", key: "", data: { user: "x" } },
    ...{ headers: {}, time, position: "7", sequence: 7 },
  });
  expect(event("user.signed").decode(message)).toBeUndefined();
  const broken = { ...message, data: Buffer.from("{") };
  expect(codeOf(() => parsePostedEvent(broken, { aggregate: "user", name: "signed_in" }))).toBe("EVENT_UNDECODABLE");
});

test("the kit gives webhooks: where chooses among them, and the handler gets body and headers", async () => {
  const on = webhook<{ readonly total: number }>("payments", "invoice.paid");
  const seen: unknown[] = [];
  const large = automation(
    "large",
    { on, where: { body: { total: [{ numeric: [">", 100] }] } } },
    ({ event: { id, body, headers } }) => {
      seen.push([id, body.total, headers]);
    },
  );
  const { outcomes } = await given([
    received(on, { id: "1", body: { total: 5 } }),
    received(on, { id: "2", body: { total: 500 }, headers: { "x-a": "b" } }),
    received(webhook("payments"), { id: "3", type: "invoice.void", body: { total: 500 } }),
  ]).when(large);
  expect(seen).toEqual([["payments.2", 500, { "x-a": "b" }]]);
  expect(outcomes).toHaveLength(3);
  expect(codeOf(() => received(webhook("payments"), {}))).toBe("TESTING_EVENT");
});

test("a pattern on a member that no webhook has, or on another type than the trigger's, is refused", () => {
  const on = webhook("payments", "invoice.paid");
  const where = (pattern: object) => codeOf(() => automation("a", { on, where: pattern as never }, () => {}));
  expect(where({ after: { x: [1] } })).toBe("PATTERN_INVALID");
  expect(where({ type: ["invoice.void"] })).toBe("PATTERN_INVALID");
  expect(where({ type: ["invoice.paid"] })).toBe("none");
});
