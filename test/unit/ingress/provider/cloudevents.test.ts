// CloudEvents in their three modes, EventBridge, Event Grid, and their handshakes.

import { describe, expect, test } from "vitest";
import type { Events, ReceiverSection, Verdict } from "../../../../src/ingress/provider/receiver.ts";
import { incoming, NOW_MS, receiver, type Sent } from "../../../support/ingress/good-requests.ts";

const section: ReceiverSection = { provider: "cloudevents", bearer: ["right", "second"] };
const STRUCTURED = "application/cloudevents+json; charset=utf-8";
const BATCH = "application/cloudevents-batch+json";
const JSON_TYPE = "application/json; charset=utf-8";
const bad = { kind: "refused", status: 400, reason: "event" };

function send(body: string | Buffer, type: string | undefined, more: Sent["headers"] = []): Verdict {
  const headers: Sent["headers"] = [
    ["authorization", "Bearer right"],
    ...(type ? [["content-type", type] as const] : []),
    ...more,
  ];
  return receiver(section).judge(incoming({ headers, body: Buffer.from(body) }), NOW_MS);
}

function ids(verdict: Verdict): readonly unknown[] {
  expect(verdict).toMatchObject({ kind: "events" });
  return (verdict as Events).events.map(({ id, type, json, raw }) => [id, type, (json ?? raw)?.toString("utf8")]);
}

const event = (id: string, source = "/check", type = "com.example.made"): string =>
  `{ "specversion":"1.0","id":"${id}","source":"${source}","type":"${type}","n":1.0,"data":{"big":12345678901234567890}}`;

describe("a structured event", () => {
  test("has its own text, and its source with its id", () => {
    expect(ids(send(`\n${event("a")}\n`, STRUCTURED))).toEqual([["/check a", "com.example.made", event("a")]]);
    expect(ids(send(event("a"), JSON_TYPE))).toEqual([["/check a", "com.example.made", event("a")]]);
  });

  test("of another source with the same id is another, however they are written", () => {
    const of = (source: string, id: string): unknown => (ids(send(event(id, source), STRUCTURED))[0] as unknown[])[0];
    const pairs = [
      ["/a", "b"],
      ["/a b", "c"],
      ["/a", "b c"],
      ["/a%20b", "c"],
      ["/a%2520b", "c"],
    ] as const;
    expect(new Set(pairs.map(([source, id]) => of(source, id))).size).toBe(pairs.length);
  });

  test.each([
    ["specversion", '{"id":"a","source":"/s","type":"t"}'],
    ["the version 1.0", '{"specversion":"0.3","id":"a","source":"/s","type":"t"}'],
    ["an id", '{"specversion":"1.0","source":"/s","type":"t"}'],
    ["an id that is a text", '{"specversion":"1.0","id":1,"source":"/s","type":"t"}'],
    ["an id that is not empty", '{"specversion":"1.0","id":"","source":"/s","type":"t"}'],
    ["a source", '{"specversion":"1.0","id":"a","type":"t"}'],
    ["a type", '{"specversion":"1.0","id":"a","source":"/s"}'],
    ["members", "null"],
    ["one event", `[${event("a")}]`],
    ["no detail-type in the place of a type", '{"id":"a","source":"/s","detail-type":"t"}'],
  ])("without %s is refused", (_, body) => {
    expect(send(body, STRUCTURED)).toEqual(bad);
  });
});

describe("a batch", () => {
  test("is an event an element, each with its own text", () => {
    const events = [event("a"), event("b", "/other", "t")];
    expect(ids(send(`[ ${events.join(" ,\n")} ]`, BATCH))).toEqual([
      ["/check a", "com.example.made", events[0]],
      ["/other b", "t", events[1]],
    ]);
  });

  test("with one bad element is refused whole", () => {
    for (const element of ['{"specversion":"1.0","id":"x"}', "null", "1"]) {
      expect(send(`[${event("a")},${element}]`, BATCH)).toEqual(bad);
    }
    expect(send(event("a"), BATCH)).toEqual(bad);
  });

  test("that is empty is nothing to store", () => {
    expect(send("[]", BATCH)).toMatchObject({ kind: "answer", status: 200, body: '{"status":"accepted"}' });
  });
});

describe("a binary event", () => {
  const attributes = (more: Readonly<Record<string, string>> = {}): Sent["headers"] =>
    Object.entries({ "ce-specversion": "1.0", "ce-id": "a", "ce-source": "/s", "ce-type": "t", ...more });

  test("has its attributes in headers, which are kept, and a body of any kind", () => {
    const verdict = send('{ "x":1.0}', JSON_TYPE, attributes({ "ce-subject": "a%20b", "ce-type": "caf%C3%A9" }));
    expect(ids(verdict)).toEqual([["/s a", "caf\u00e9", '{ "x":1.0}']]);
    const [only] = (verdict as Events).events;
    expect(only?.headers).toMatchObject({ "ce-subject": "a%20b", "ce-source": "/s", "content-type": JSON_TYPE });
    const image = (send(Buffer.from([0, 255]), "image/png", attributes()) as Events).events[0];
    expect([image?.json, image?.raw]).toEqual([undefined, Buffer.from([0, 255])]);
  });

  test("whose attribute is missing, doubled or of another version is refused", () => {
    for (const name of ["ce-id", "ce-source", "ce-type"]) {
      expect(send("{}", JSON_TYPE, attributes({ [name]: "" }))).toEqual(bad);
      expect(send("{}", JSON_TYPE, [...attributes(), [name, "other"]])).toEqual(bad);
    }
    expect(send("{}", JSON_TYPE, attributes({ "ce-specversion": "0.3" }))).toEqual(bad);
    expect(send("{", JSON_TYPE, attributes())).toEqual({ kind: "refused", status: 400, reason: "body" });
  });
});

describe("beside CloudEvents", () => {
  test("EventBridge's API destination sends its own envelope", () => {
    const body =
      '{"version":"0","id":"e1","detail-type":"EC2 Instance State-change","source":"aws.ec2","detail":{"n":1.0}}';
    expect(ids(send(body, JSON_TYPE))).toEqual([["aws.ec2 e1", "EC2 Instance State-change", body]]);
  });

  test("Event Grid sends its own schema", () => {
    const grid = (id: string): string =>
      `{"id":"${id}","topic":"/t","subject":"/b","data":{ "n":1.0},"eventType":"Microsoft.Storage.BlobCreated"}`;
    expect(ids(send(`[${grid("a")}, ${grid("b")}]`, JSON_TYPE))).toEqual([
      ["/t a", "Microsoft.Storage.BlobCreated", grid("a")],
      ["/t b", "Microsoft.Storage.BlobCreated", grid("b")],
    ]);
    expect(send(`[${grid("a")}, {"id":"x"}]`, JSON_TYPE)).toEqual(bad);
    expect(send(`[${grid("a")}, 1]`, JSON_TYPE)).toEqual(bad);
  });

  test("what is neither is refused", () => {
    expect(send('{"id":"a"}', JSON_TYPE)).toEqual(bad);
    expect(send('{"id":"a"}', undefined)).toEqual(bad);
    expect(send("text", "text/plain")).toEqual({ kind: "refused", status: 415, reason: "media" });
  });
});

describe("a handshake", () => {
  const validation =
    '[{"id":"v","topic":"","subject":"","data":{"validationCode":"512D-\\u0041"},"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent"}]';

  test("of Event Grid is answered when the token is right", () => {
    const verdict = send(validation, JSON_TYPE, [["aeg-event-type", "SubscriptionValidation"]]);
    expect(verdict).toEqual({
      kind: "answer",
      status: 200,
      contentType: "application/json",
      body: '{"validationResponse":"512D-A"}',
    });
    const unverified = receiver(section).judge(
      incoming({ headers: [["content-type", JSON_TYPE]], body: Buffer.from(validation) }),
      NOW_MS,
    );
    expect(unverified).toEqual({ kind: "refused", status: 401, reason: "token" });
  });

  test("of Event Grid without a code is refused", () => {
    expect(send(validation.replace("validationCode", "code"), JSON_TYPE)).toEqual(bad);
    expect(send(validation.replace("]", `,${validation.slice(1)}`), JSON_TYPE)).toEqual(bad);
  });

  test("by OPTIONS grants origin and rate, without a token", () => {
    const asked = incoming(
      {
        headers: [
          ["WebHook-Request-Origin", "emitter.example.com"],
          ["WebHook-Request-Rate", "120"],
        ],
        body: Buffer.alloc(0),
      },
      "OPTIONS",
    );
    expect(receiver(section).options?.(asked)).toMatchObject({
      kind: "answer",
      status: 200,
      headers: { allow: "POST, OPTIONS", "webhook-allowed-origin": "emitter.example.com", "webhook-allowed-rate": "*" },
    });
    const limited = receiver({ ...section, rate: { limit: 5, perMs: 1000 } }).options?.(asked);
    expect(limited).toMatchObject({ headers: { "webhook-allowed-rate": "300" } });
    const slow = receiver({ ...section, rate: { limit: 1, perMs: 3_600_000 } }).options?.(asked);
    expect(slow).toMatchObject({ headers: { "webhook-allowed-rate": "1" } });
  });

  test("by OPTIONS without an origin grants nothing, and no other provider knows it", () => {
    const asked = incoming({ headers: [], body: Buffer.alloc(0) }, "OPTIONS");
    expect(receiver(section).options?.(asked)).toMatchObject({ headers: { allow: "POST, OPTIONS" } });
    expect(receiver(section).options?.(asked)).not.toHaveProperty("headers.webhook-allowed-origin");
    expect(receiver({ provider: "stripe", secret: ["a"] }).options).toBeUndefined();
  });
});
