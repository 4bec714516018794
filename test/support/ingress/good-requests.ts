// Requests as each provider sends them, signed as its documentation says.

import { createHmac } from "node:crypto";
import { type Receiver, type ReceiverSection, receiverOf } from "../../../src/ingress/provider/provider.ts";
import type { IncomingRequest, ProviderName } from "../../../src/ingress/provider/receiver.ts";

/** When the requests come. */
export const NOW_MS = Date.UTC(2026, 10, 30, 3, 0, 0);
export const NOW_SECONDS = String(NOW_MS / 1000);

/** A request with its headers as pairs: a name may stand there twice, and in any case. */
export interface Sent {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
  readonly query?: string;
}

export interface Made {
  readonly key: string;
  readonly at?: string;
  readonly id?: string;
  readonly body?: string | Buffer;
}

export interface Sender {
  readonly provider: ProviderName;
  readonly section: ReceiverSection;
  /** The header that signs, and the one with the time where there is one. */
  readonly signature: string;
  readonly time?: string;
  /** What of the signature's header is the digest. */
  readonly digest: RegExp;
  readonly encoding: "hex" | "base64";
  /** The header may hold several. */
  readonly list?: true;
  readonly timed: boolean;
  /** Where the time is not signed, a new one in a captured request passes. */
  readonly timeUnsigned?: true;
  readonly id: string;
  readonly type: string;
  /** A good request; `key` is a secret as it is configured. */
  make(how: Made): Sent;
}

const json = ["Content-Type", "application/json"] as const;
export const standardSecret = (seed: string): string =>
  `whsec_${createHmac("sha256", "seed").update(seed).digest("base64")}`;
const hex = (key: string, ...parts: readonly (string | Buffer)[]): string => digest("sha256", key, parts, "hex");

function digest(
  algorithm: string,
  key: string | Buffer,
  parts: readonly (string | Buffer)[],
  encoding: "hex" | "base64",
): string {
  const hmac = createHmac(algorithm, key);
  for (const part of parts) hmac.update(part);
  return hmac.digest(encoding);
}

function standard(names: "webhook" | "svix"): Sender {
  return {
    provider: "standard",
    section: { provider: "standard", secret: [standardSecret("a"), standardSecret("b")] },
    signature: `${names}-signature`,
    time: `${names}-timestamp`,
    digest: /(?<=^v1,)\S*/,
    encoding: "base64",
    list: true,
    timed: true,
    id: "msg_1",
    type: "contact.created",
    make: ({ key, at = NOW_SECONDS, id = "msg_1", body = '{"type":"contact.created","data":{"n":1.0}}' }) => {
      const bytes = Buffer.from(body);
      const secret = Buffer.from(key.replace(/^whsec_/, ""), "base64");
      const sum = digest("sha256", secret, [`${id}.${at}.`, bytes], "base64");
      return {
        headers: [json, [`${names}-id`, id], [`${names}-timestamp`, at], [`${names}-signature`, `v1,${sum}`]],
        body: bytes,
      };
    },
  };
}

/** One for each scheme; the first secret of a section signs. */
export const senders = {
  stripe: {
    provider: "stripe",
    section: { provider: "stripe", secret: ["whsec_new", "whsec_old"] },
    signature: "stripe-signature",
    digest: /(?<=v1=)[^,]*/,
    encoding: "hex",
    timed: true,
    id: "evt_1",
    type: "invoice.paid",
    make: ({ key, at = NOW_SECONDS, body = '{ "id":"evt_1","object":"event", "type":"invoice.paid"}' }) => ({
      headers: [json, ["Stripe-Signature", `t=${at},v1=${hex(key, `${at}.`, Buffer.from(body))}`]],
      body: Buffer.from(body),
    }),
  },
  github: {
    provider: "github",
    section: { provider: "github", secret: ["It's a Secret to Everybody"] },
    signature: "x-hub-signature-256",
    digest: /(?<=^sha256=).*/,
    encoding: "hex",
    timed: false,
    id: "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    type: "push",
    make: ({ key, id = "72d3162e-cc78-11e3-81ab-4c9367dc0958", body = '{"ref":"refs/heads/main"}' }) => ({
      headers: [
        json,
        ["X-GitHub-Event", "push"],
        ["X-GitHub-Delivery", id],
        ["X-Hub-Signature-256", `sha256=${hex(key, Buffer.from(body))}`],
      ],
      body: Buffer.from(body),
    }),
  },
  slack: {
    provider: "slack",
    section: { provider: "slack", secret: ["8f742231b10e8888abcd99yyyzzz85a5"] },
    signature: "x-slack-signature",
    time: "x-slack-request-timestamp",
    digest: /(?<=^v0=).*/,
    encoding: "hex",
    timed: true,
    id: "Ev1",
    type: "app_mention",
    make: ({
      key,
      at = NOW_SECONDS,
      body = '{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}',
    }) => ({
      headers: [
        json,
        ["X-Slack-Request-Timestamp", at],
        ["X-Slack-Signature", `v0=${hex(key, `v0:${at}:`, Buffer.from(body))}`],
      ],
      body: Buffer.from(body),
    }),
  },
  pagerduty: {
    provider: "pagerduty",
    section: { provider: "pagerduty", secret: ["pager secret"] },
    signature: "x-pagerduty-signature",
    digest: /(?<=^v1=)[^,]*/,
    encoding: "hex",
    list: true,
    timed: false,
    id: "01BBYA",
    type: "incident.triggered",
    make: ({ key, body = '{"event":{"id":"01BBYA","event_type":"incident.triggered"}}' }) => ({
      headers: [
        json,
        ["X-Webhook-Subscription", "PS1"],
        ["X-PagerDuty-Signature", `v1=${hex(key, Buffer.from(body))}`],
      ],
      body: Buffer.from(body),
    }),
  },
  grafana: {
    provider: "grafana",
    section: {
      provider: "grafana",
      secret: ["grafana secret"],
      timestamp: { header: "x-grafana-time", toleranceSeconds: 300 },
    },
    signature: "x-grafana-alerting-signature",
    time: "x-grafana-time",
    digest: /^.*$/,
    encoding: "hex",
    timed: true,
    id: "f1.firing.2026-11-12T09:51:03Z",
    type: "firing",
    make: ({
      key,
      at = NOW_SECONDS,
      body = '{"alerts":[{"status":"firing","fingerprint":"f1","startsAt":"2026-11-12T09:51:03Z"}]}',
    }) => ({
      headers: [json, ["X-Grafana-Time", at], ["X-Grafana-Alerting-Signature", hex(key, `${at}:`, Buffer.from(body))]],
      body: Buffer.from(body),
    }),
  },
  shopify: {
    provider: "shopify",
    section: { provider: "shopify", secret: ["shopify secret"] },
    signature: "x-shopify-hmac-sha256",
    digest: /^.*$/,
    encoding: "base64",
    timed: false,
    id: "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    type: "orders/create",
    make: ({ key, id = "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", body = '{"id":820982911946154508}' }) => ({
      headers: [
        json,
        ["X-Shopify-Topic", "orders/create"],
        ["X-Shopify-Webhook-Id", id],
        ["X-Shopify-Hmac-SHA256", digest("sha256", key, [Buffer.from(body)], "base64")],
      ],
      body: Buffer.from(body),
    }),
  },
  standard: standard("webhook"),
  svix: standard("svix"),
  hmac: {
    provider: "hmac",
    section: {
      provider: "hmac",
      secret: ["erp secret"],
      header: "X-Signature",
      prefix: "sha256=",
      id: { header: "X-Delivery" },
      type: { pointer: "/event" },
      timestamp: { header: "x-time", toleranceSeconds: 300 },
    },
    signature: "x-signature",
    time: "x-time",
    digest: /(?<=^sha256=).*/,
    encoding: "hex",
    timed: true,
    timeUnsigned: true,
    id: "d-1",
    type: "order.created",
    make: ({ key, at = NOW_SECONDS, id = "d-1", body = '{"event":"order.created"}' }) => ({
      headers: [json, ["X-Delivery", id], ["X-Time", at], ["X-Signature", `sha256=${hex(key, Buffer.from(body))}`]],
      body: Buffer.from(body),
    }),
  },
  template: {
    provider: "hmac",
    section: {
      provider: "hmac",
      secret: ["other secret"],
      header: "x-sum",
      algorithm: "sha512",
      encoding: "base64",
      signed: "v1:{timestamp}:{body}:\u00e9",
      id: { pointer: "/nr/id" },
      type: { pointer: "/event" },
      timestamp: { header: "x-time", toleranceSeconds: 300 },
    },
    signature: "x-sum",
    time: "x-time",
    digest: /^.*$/,
    encoding: "base64",
    timed: true,
    id: "12345678901234567890",
    type: "order.created",
    make: ({ key, at = NOW_SECONDS, body = '{"event":"order.created","nr":{"id":12345678901234567890}}' }) => {
      const sum = digest("sha512", key, [`v1:${at}:`, Buffer.from(body), ":\u00e9"], "base64");
      return { headers: [json, ["X-Time", at], ["X-Sum", sum]], body: Buffer.from(body) };
    },
  },
} as const satisfies Readonly<Record<string, Sender>>;

export type SenderName = keyof typeof senders;
export const senderList: readonly (readonly [SenderName, Sender])[] = Object.entries(senders) as [SenderName, Sender][];

export function firstKey({ section }: Sender): string {
  return (section.secret as readonly string[])[0] as string;
}

export function receiver(section: ReceiverSection): Receiver {
  return receiverOf("check", section);
}

/** As the server hands it on. */
export function incoming({ headers, body, query = "" }: Sent, method = "POST"): IncomingRequest {
  const map = new Map<string, string[]>();
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    map.set(lower, [...(map.get(lower) ?? []), value.trim()]);
  }
  return { method, path: "/in/check", query: new URLSearchParams(query), headers: map, body };
}

export function headerOf({ headers }: Sent, name: string): string {
  return headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? "";
}

/** The same with one header set, or without it. */
export function withHeader(sent: Sent, name: string, value: string | undefined): Sent {
  const others = sent.headers.filter(([key]) => key.toLowerCase() !== name.toLowerCase());
  return { ...sent, headers: value === undefined ? others : [...others, [name, value]] };
}
