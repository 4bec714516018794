// What the events of a verified request are, and which requests are answered without one.

import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Events, ReceiverSection, Verdict } from "../../../../src/ingress/provider/receiver.ts";
import {
  firstKey,
  incoming,
  NOW_MS,
  receiver,
  type Sent,
  senderList,
  senders,
  withHeader,
} from "../../../support/ingress/good-requests.ts";

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const token = ["authorization", "Bearer right"] as const;
const json = ["content-type", "application/json"] as const;

function judge(section: ReceiverSection, sent: Sent, method?: string): Verdict {
  return receiver(section).judge(incoming(sent, method), NOW_MS);
}

function bearer(body: string | Buffer, type: string | undefined, more: Sent["headers"] = []): Sent {
  return { headers: [token, ...(type ? [["content-type", type] as const] : []), ...more], body: Buffer.from(body) };
}

function eventsOf(verdict: Verdict): readonly Record<string, unknown>[] {
  expect(verdict).toMatchObject({ kind: "events" });
  return (verdict as Events).events.map(({ json: text, raw, ...rest }) => ({
    ...rest,
    ...(text ? { json: text.toString("utf8") } : {}),
    ...(raw ? { raw: raw.toString("latin1") } : {}),
  }));
}

const refusal = (status: number, reason: string): unknown => ({ kind: "refused", status, reason });

describe("a body", () => {
  const tokened: ReceiverSection = {
    provider: "bearer",
    bearer: ["right"],
    id: { pointer: "/id" },
    type: { header: "X-Kind" },
  };

  test("of JSON stands byte for byte in the event, whoever sends it", () => {
    const odd = fc.constantFrom(
      " ",
      "\n",
      "\r\n\t",
      "",
      '"dup":1,"dup":2,',
      '"__proto__":{"id":"x"},',
      '"n":-0,',
      '"s":"\\ud800 \\/ \u2028",',
    );
    fc.assert(
      fc.property(fc.array(odd, { maxLength: 5 }), fc.json(), (parts, inner) => {
        const body = `\n{${parts.join("")}"big":12345678901234567890, "inner":${inner} }\r\n`;
        for (const [, sender] of senderList) {
          if (sender.provider === "grafana") continue; // an alert's own text: below
          const [event] = eventsOf(judge(sender.section, sender.make({ key: firstKey(sender), body })));
          expect(event?.json).toBe(body);
        }
        expect(eventsOf(judge(tokened, bearer(body, "application/json")))[0]?.json).toBe(body);
      }),
      { seed, numRuns: 40 },
    );
  });

  test.each<[string, string | Buffer, string | undefined]>([
    ["XML", '<?xml version="1.0"?><a>\u00e9</a>', "application/xml"],
    ["a form", "a=1&b=%20", "application/x-www-form-urlencoded"],
    ["text that is JSON", '{"id":1}', "text/plain"],
    ["bytes", Buffer.from([0, 255, 254, 128, 10, 13, 0]), "application/octet-stream"],
    ["bytes without a content type", Buffer.from([0, 255]), undefined],
    ["nothing", "", undefined],
  ])("of %s is kept raw", (_, body, type) => {
    const [event] = eventsOf(judge(tokened, bearer(body, type, [["x-kind", "k"]])));
    expect(event).toMatchObject({ id: undefined, type: "k", raw: Buffer.from(body).toString("latin1") });
    expect(event).not.toHaveProperty("json");
  });

  test("without a content type is JSON where it can be read as such", () => {
    expect(eventsOf(judge(tokened, bearer('{"id":7}', undefined)))).toEqual([
      { id: "7", type: "_", json: '{"id":7}', headers: {} },
    ]);
  });

  test.each(["", "  ", '{"id":', '{"id":"evt_1"} x', '{"id":NaN}', '{/**/"id":1}', "'a'", "\ufeff{}"])(
    "%j, called JSON, is refused",
    (body) => {
      expect(judge(tokened, bearer(body, "application/json"))).toEqual(refusal(400, "body"));
      expect(judge(tokened, bearer(body, "application/vnd.api+json; charset=utf-8"))).toEqual(refusal(400, "body"));
      expect(judge(senders.stripe.section, senders.stripe.make({ key: "whsec_new", body }))).toEqual(
        refusal(400, "body"),
      );
      const plain = withHeader(senders.stripe.make({ key: "whsec_new", body }), "content-type", undefined);
      expect(judge(senders.stripe.section, plain)).toEqual(refusal(400, "body"));
    },
  );

  test.each(["null", "1", '"x"', "[]", "true"])("%s is no event of a provider that sends objects", (body) => {
    for (const name of ["stripe", "github", "slack", "pagerduty", "grafana", "shopify", "standard", "svix"] as const) {
      const sender = senders[name];
      expect(judge(sender.section, sender.make({ key: firstKey(sender), body }))).toEqual(refusal(400, "event"));
    }
    expect(judge(tokened, bearer(body, "application/json"))).toMatchObject({ kind: "events" });
  });

  test("nested deeper than a thousand is refused, whatever it is part of", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const body = `{"id":"evt_1","type":"a","x":${deep}}`;
    expect(judge(senders.stripe.section, senders.stripe.make({ key: "whsec_new", body }))).toEqual(
      refusal(422, "depth"),
    );
    expect(judge(tokened, bearer(body, "application/json"))).toEqual(refusal(422, "depth"));
  });

  test("in a bare number no part can be moved between the id and the time of Standard Webhooks", () => {
    const { standard } = senders;
    const key = firstKey(standard);
    const at = String(NOW_MS / 1000);
    const signed = standard.make({ key, at: "1", id: `msg_1.${at}`, body: `${at}.5` });
    const moved = withHeader(
      withHeader({ ...signed, body: Buffer.from(`1.${at}.5`) }, "webhook-id", "msg_1"),
      "webhook-timestamp",
      at,
    );
    // The same bytes are signed, and the time is near: what is left is that it is no object.
    expect(judge(standard.section, moved)).toEqual(refusal(400, "body"));
    expect(judge(standard.section, standard.make({ key, body: "5" }))).toEqual(refusal(400, "event"));
  });
});

describe("a content type", () => {
  test.each<[ReceiverSection["provider"], readonly string[], readonly string[]]>([
    [
      "stripe",
      ["application/json", "Application/JSON; charset=utf-8"],
      ["text/plain", "application/xml", "application/x-www-form-urlencoded"],
    ],
    ["github", ["application/json", "application/x-www-form-urlencoded"], ["text/plain", "multipart/form-data"]],
    ["slack", ["application/json", "application/x-www-form-urlencoded"], ["text/xml"]],
    ["alertmanager", ["application/json"], ["application/x-www-form-urlencoded"]],
    ["datadog", ["application/json", "application/x-www-form-urlencoded"], ["text/html"]],
    ["shopify", ["application/json", "application/xml", "text/xml"], ["text/plain"]],
    [
      "cloudevents",
      ["application/cloudevents+json", "application/cloudevents-batch+json", "application/json", "image/png"],
      ["application/cloudevents+xml", "application/cloudevents+avro", "application/cloudevents-batch+xml"],
    ],
    ["hmac", ["application/json", "text/plain", "image/png"], []],
    ["bearer", ["application/json", "text/plain"], []],
  ])("of %s", (provider, taken, refused) => {
    const { acceptsMedia } = receiver({ provider });
    for (const type of taken) expect(acceptsMedia(type), type).toBe(true);
    for (const type of refused) expect(acceptsMedia(type), type).toBe(false);
    expect(acceptsMedia(undefined)).toBe(true);
  });

  test("that is not the provider's, or doubled, is refused when the request is verified", () => {
    const good = senders.stripe.make({ key: "whsec_new" });
    expect(judge(senders.stripe.section, withHeader(good, "content-type", "text/plain"))).toEqual(
      refusal(415, "media"),
    );
    expect(judge(senders.stripe.section, { ...good, headers: [...good.headers, json] })).toEqual(refusal(415, "media"));
    expect(
      judge(
        senders.stripe.section,
        withHeader(withHeader(good, "content-type", "text/plain"), "stripe-signature", "x"),
      ),
    ).toEqual(refusal(401, "signature"));
  });
});

describe("an id and a type", () => {
  const stripe = (body: string): Verdict =>
    judge(senders.stripe.section, senders.stripe.make({ key: "whsec_new", body }));

  test.each([
    ['{"id":null,"type":null}', undefined, "_"],
    ['{"id":{},"type":[]}', undefined, "_"],
    ['{"__proto__":{"id":"evt_p","type":"x"}}', undefined, "_"],
    ['{"id":"a","id":"b","type":"x","type":"y"}', "b", "y"],
    ['{"id":"\\ud800","type":"\\udc00"}', undefined, "_"],
    ['{"id":"e\\r\\nNats-Rollup: all","type":"a.*.>.\\u00e9 \\r\\n"}', "e\r\nNats-Rollup: all", "a.*.>.\u00e9 \r\n"],
    ['{"id":12345678901234567890,"type":"x"}', "12345678901234567890", "x"],
  ])("of %s", (body, id, type) => {
    expect(eventsOf(stripe(body))).toMatchObject([{ id, type, json: body }]);
  });

  test("that no subject could carry are refused", () => {
    expect(stripe(`{"id":"e","type":"${"t".repeat(768)}"}`)).toMatchObject({ kind: "events" });
    expect(stripe(`{"id":"e","type":"${"t".repeat(769)}"}`)).toEqual(refusal(422, "event"));
    expect(stripe(`{"id":"e","type":"${".".repeat(257)}"}`)).toEqual(refusal(422, "event"));
    expect(stripe(`{"id":"${"i".repeat(1024)}","type":"t"}`)).toMatchObject({ kind: "events" });
    expect(stripe(`{"id":"${"i".repeat(1025)}","type":"t"}`)).toEqual(refusal(422, "event"));
  });

  test("stand in a header or in the body, as the section says", () => {
    const section = (id: ReceiverSection["id"], type: ReceiverSection["type"]): ReceiverSection => ({
      provider: "bearer",
      bearer: ["right"],
      id,
      type,
    });
    const sent = bearer('{"a":{"b":"B"}}', "application/json", [["x-id", "I"]]);
    expect(eventsOf(judge(section({ header: "X-Id" }, { pointer: "/a/b" }), sent))).toMatchObject([
      { id: "I", type: "B" },
    ]);
    expect(eventsOf(judge(section({ pointer: "/a/b" }, { header: "x-id" }), sent))).toMatchObject([
      { id: "B", type: "I" },
    ]);
    expect(eventsOf(judge(section(undefined, undefined), sent))).toMatchObject([{ id: undefined, type: "_" }]);
    const doubled = { ...sent, headers: [...sent.headers, ["x-id", "J"] as const] };
    expect(eventsOf(judge(section({ header: "x-id" }, undefined), doubled))).toMatchObject([{ id: undefined }]);
  });

  test("of Datadog's form are its fields", () => {
    const sent = bearer("id=77&event_type=metric_alert_monitor", "application/x-www-form-urlencoded");
    expect(eventsOf(judge({ provider: "datadog", bearer: ["right"] }, sent))).toMatchObject([
      { id: "77", type: "metric_alert_monitor", raw: "id=77&event_type=metric_alert_monitor" },
    ]);
  });

  test("of GitHub's form are its headers, and the form is kept raw", () => {
    const sent = withHeader(
      senders.github.make({ key: "It's a Secret to Everybody", body: "payload=%7B%7D" }),
      "content-type",
      "application/x-www-form-urlencoded",
    );
    expect(eventsOf(judge(senders.github.section, sent))).toMatchObject([
      { id: senders.github.id, type: "push", raw: "payload=%7B%7D" },
    ]);
  });
});

describe("headers", () => {
  test("that are kept are the content type and the provider's own, never what signs", () => {
    for (const [, sender] of senderList) {
      const good = sender.make({ key: firstKey(sender) });
      const more = [
        ["Authorization", "Basic x"],
        ["Cookie", "a=b"],
        ["Proxy-Authorization", "x"],
        ["X-Github-Token", "x"],
        ["X-Other", "y"],
      ] as const;
      const [event] = eventsOf(judge(sender.section, { ...good, headers: [...good.headers, ...more] }));
      const kept = event?.headers as Record<string, string>;
      expect(kept["content-type"]).toBe("application/json");
      for (const name of Object.keys(kept)) {
        expect(name).toBe(name.toLowerCase());
        expect(name).not.toMatch(/authorization|cookie|signature|hmac|token|x-sum|x-other/);
      }
    }
    const { headers } = eventsOf(
      judge(senders.github.section, senders.github.make({ key: "It's a Secret to Everybody" })),
    )[0] as { headers: unknown };
    expect(headers).toEqual({
      "content-type": "application/json",
      "x-github-event": "push",
      "x-github-delivery": senders.github.id,
    });
  });
});

describe("Slack", () => {
  const { slack } = senders;
  const key = firstKey(slack);
  const question = slack.make({ key, body: '{"token":"x","challenge":"ch<b>","type":"url_verification"}' });

  test("is answered its challenge as text, when it is signed", () => {
    expect(judge(slack.section, question)).toEqual({
      kind: "answer",
      status: 200,
      headers: { "x-content-type-options": "nosniff" },
      contentType: "text/plain; charset=utf-8",
      body: "ch<b>",
    });
    const forged = judge(slack.section, withHeader(question, "x-slack-signature", `v0=${"0".repeat(64)}`));
    expect(forged).toEqual(refusal(401, "signature"));
  });

  test.each([
    ['{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}', "Ev1", "message"],
    ['{"type":"app_rate_limited","team_id":"T1"}', undefined, "app_rate_limited"],
    ['{"type":"url_verification"}', undefined, "url_verification"],
  ])("sends %s", (body, id, type) => {
    expect(eventsOf(judge(slack.section, slack.make({ key, body })))).toMatchObject([{ id, type, json: body }]);
  });

  test.each([
    [`payload=${encodeURIComponent('{"type":"block_actions","user":{"id":"U1"}}')}`, "block_actions"],
    ["payload=%7Bnot", "_"],
    ["payload=[]", "_"],
    ["command=%2Fdeploy&text=now", "_"],
  ])("sends the form %s, which is kept raw", (body, type) => {
    const sent = withHeader(slack.make({ key, body }), "content-type", "application/x-www-form-urlencoded");
    expect(eventsOf(judge(slack.section, sent))).toMatchObject([{ id: undefined, type, raw: body }]);
    expect(judge(slack.section, withHeader(sent, "x-slack-signature", "v0="))).toEqual(refusal(401, "signature"));
  });
});

describe("alerts", () => {
  const section: ReceiverSection = { provider: "alertmanager", bearer: ["right"] };
  const alert = (fingerprint: string, status: string): string =>
    `{ "status":"${status}","labels":{"zone":"eu ]}"},"annotations":{"big": 12345678901234567890, "e":1E+2},"startsAt":"2026-11-12T09:51:03.157Z","fingerprint":"${fingerprint}"}`;
  const group = (...alerts: readonly string[]): Sent =>
    bearer(`{"version":"4","alerts":[ ${alerts.join(" ,\n")} ],"groupKey":"{}"}`, "application/json");

  test("are an event each, with their own text", () => {
    const verdict = judge(section, group(alert("a", "firing"), alert("b", "resolved")));
    expect(eventsOf(verdict)).toEqual([
      {
        id: "a.firing.2026-11-12T09:51:03.157Z",
        type: "firing",
        json: alert("a", "firing"),
        headers: { "content-type": "application/json" },
      },
      {
        id: "b.resolved.2026-11-12T09:51:03.157Z",
        type: "resolved",
        json: alert("b", "resolved"),
        headers: { "content-type": "application/json" },
      },
    ]);
  });

  test("without a fingerprint are known by their text, each by its own", () => {
    const [one, two] = ['{"status":"firing","n":1}', '{"n":2}'] as const;
    const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
    expect(eventsOf(judge(section, group(one, two)))).toMatchObject([
      { id: sha256(one), type: "firing" },
      { id: sha256(two), type: "_" },
    ]);
  });

  test("none is nothing to store, and no list is no group", () => {
    expect(judge(section, group())).toMatchObject({ kind: "answer", status: 200, body: '{"status":"accepted"}' });
    for (const body of ["{}", '{"alerts":{}}', '{"alerts":[1]}', '{"alerts":null}']) {
      expect(judge(section, bearer(body, "application/json"))).toEqual(refusal(400, "event"));
    }
  });

  test("of Grafana without a header for the time are signed as they are", () => {
    const { timestamp: _, ...grafana } = senders.grafana.section;
    const { hmac } = senders;
    const body = group(alert("a", "firing")).body;
    const sent = hmac.make({ key: "grafana secret", body: body.toString() });
    const digest = sent.headers.find(([name]) => name === "X-Signature")?.[1].slice("sha256=".length) ?? "";
    expect(judge(grafana, { headers: [json, ["x-grafana-alerting-signature", digest]], body })).toMatchObject({
      kind: "events",
    });
    expect(judge(senders.grafana.section, { headers: [json, ["x-grafana-alerting-signature", digest]], body })).toEqual(
      refusal(401, "signature"),
    );
  });
});

describe("providers that are overrun", () => {
  test("are told 503 where they send only that again", () => {
    for (const provider of ["alertmanager", "datadog"] as const) expect(receiver({ provider }).overLimit).toBe(503);
    for (const provider of ["stripe", "github", "hmac"] as const) expect(receiver({ provider }).overLimit).toBe(429);
  });

  test("may send a MiB, GitHub 25, and what a section says", () => {
    expect(receiver({ provider: "stripe" }).maxBytes).toBe(2 ** 20);
    expect(receiver({ provider: "github" }).maxBytes).toBe(25 * 2 ** 20);
    expect(receiver({ provider: "github", maxBytes: 5 }).maxBytes).toBe(5);
    expect(receiver({ provider: "github", replayGuard: true }).replayGuard).toBe(true);
  });
});
