import { expect, test } from "vitest";
import type { Endpoint, EndpointOf } from "../../../../src/config/endpoints-schema.ts";
import {
  bodyOf,
  githubRequest,
  itsmRequest,
  MAX_BODY_BYTES,
  pagerdutyRequest,
  slackRequest,
  textAt,
  webhookRequest,
} from "../../../../src/egress/kind/compose.ts";

const about = { id: "msg_1", time: "2026-01-31T12:00:00Z", type: "order.created", at: 1_760_000_000_123 };
const common = { timeout: 1, concurrency: 1, allowPrivate: false, pauseAfter: 1 };
const endpoint = <Kind extends NonNullable<Endpoint["kind"]>>(kind: Kind, options: object): EndpointOf<Kind> =>
  ({ kind, ...common, headers: {}, ...options }) as unknown as EndpointOf<Kind>;

test("a webhook has the event's time, unless the message has its own, and the configured headers", () => {
  const crm = endpoint("webhook", { url: "https://a/", headers: { "x-env": "test" }, bearer: "t" });
  const { body, headers } = webhookRequest(crm, { type: "a", data: 1 }, about);
  expect(JSON.parse(body)).toEqual({ type: "a", data: 1, timestamp: about.time });
  expect(headers).toMatchObject({
    ...{ "x-env": "test", authorization: "Bearer t", "webhook-id": "msg_1", "webhook-timestamp": "1760000000" },
    ...{ "content-type": "application/json" },
  });
  expect(JSON.parse(webhookRequest(crm, { type: "a", timestamp: "then" }, about).body)).toEqual({
    type: "a",
    timestamp: "then",
  });
});

test("Slack takes a text or blocks", () => {
  const ops = endpoint("slack", { url: "https://hooks/" });
  expect(slackRequest(ops, "hello").body).toBe('{"text":"hello"}');
  expect(slackRequest(ops, { text: "a", blocks: [] }).body).toBe('{"text":"a","blocks":[]}');
  expect(() => slackRequest(ops, 1)).toThrow(/takes a text/);
});

test("GitHub is asked for a dispatch of the repository, or of a workflow with text as inputs", () => {
  const code = endpoint("github", { url: "https://api.github.com/", repository: "acme/shop", token: "t", ref: "main" });
  expect(githubRequest(code, { type: "deploy", data: { n: 1 } })).toMatchObject({
    url: "https://api.github.com/repos/acme/shop/dispatches",
    body: '{"event_type":"deploy","client_payload":{"n":1}}',
    headers: { authorization: "Bearer t", accept: "application/vnd.github+json" },
  });
  expect(() => githubRequest(code, { data: {} })).toThrow(/a type of 1 to 100/);
  expect(githubRequest({ ...code, workflow: "deploy.yml" }, { data: { n: 1, who: "me" } })).toMatchObject({
    url: "https://api.github.com/repos/acme/shop/actions/workflows/deploy.yml/dispatches",
    body: '{"ref":"main","inputs":{"n":"1","who":"me"}}',
  });
});

test("PagerDuty gets one incident for an event, or for a key, and its end", () => {
  const pager = endpoint("pagerduty", { url: "https://events/", routingKey: "r" });
  expect(JSON.parse(pagerdutyRequest(pager, { summary: "down", details: { a: 1 } }, about).body)).toEqual({
    ...{ routing_key: "r", event_action: "trigger", dedup_key: "msg_1" },
    payload: {
      ...{ summary: "down", severity: "error", source: "millrace", timestamp: about.time, class: about.type },
      custom_details: { a: 1 },
    },
  });
  expect(JSON.parse(pagerdutyRequest(pager, { action: "resolve", key: "k" }, about).body)).toEqual({
    ...{ routing_key: "r", event_action: "resolve", dedup_key: "k" },
  });
  expect(() => pagerdutyRequest(pager, { summary: "" }, about)).toThrow(/takes a summary/);
  expect(() => pagerdutyRequest(pager, { summary: "a", severity: "bad" }, about)).toThrow(/severity of critical/);
});

test("a desk gets the fields as they are, under a key by which it can tell a repetition", () => {
  const desk = endpoint("itsm", { url: "https://desk/", ticket: "/id" });
  expect(itsmRequest(desk, { short_description: "x" }, about)).toMatchObject({
    body: '{"short_description":"x"}',
    headers: { "idempotency-key": "msg_1" },
  });
});

test("what an answer holds at a pointer is found, and no more", () => {
  const answer = JSON.stringify({ result: { sys_id: "INC1", n: 7, "a/b": { "~": "x" } }, list: ["first"] });
  expect(textAt(answer, "/result/sys_id")).toBe("INC1");
  expect(textAt(answer, "/result/n")).toBe("7");
  expect(textAt(answer, "/result/a~1b/~0")).toBe("x");
  expect(textAt(answer, "/list/0")).toBe("first");
  for (const pointer of ["/result", "/none/at", "/result/sys_id/length", "/__proto__/x"])
    expect(textAt(answer, pointer)).toBeUndefined();
  expect(textAt("no json", "/a")).toBeUndefined();
});

test("a message that is none, no JSON or too large is refused, and what it holds is not told", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  expect(() => bodyOf(undefined)).toThrow(/returned nothing/);
  expect(() => bodyOf(circle)).toThrow(/no JSON/);
  expect(() => bodyOf({ n: 1n })).toThrow(/no JSON/);
  expect(() => bodyOf("x".repeat(MAX_BODY_BYTES))).toThrow(`and may have ${MAX_BODY_BYTES}`);
});
