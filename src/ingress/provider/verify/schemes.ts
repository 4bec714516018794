// How each provider that signs does it. A new one is a row here, and a line in the table of providers.

import { standardKeyText } from "../../../event/standard-key.ts";
import type { IncomingRequest, ReceiverSection } from "../receiver.ts";
import { onlyHeader } from "../request.ts";
import type { Scheme, Signed } from "./signature.ts";

/** What Stripe, Slack and Standard Webhooks say, and their packages take. */
const TOLERANCE_SECONDS = 300;

type MadeScheme = (section: ReceiverSection) => Scheme;

/** `Stripe-Signature: t=<time>,v1=<hex>,v1=<hex>` over `<time>.<body>`; other versions are not trusted. */
export const stripeScheme: MadeScheme = (section) => ({
  ...sha256(section, "hex", TOLERANCE_SECONDS),
  read: (request) => {
    const parts = onlyHeader(request, "stripe-signature")?.split(",") ?? [];
    const times = valuesOf(parts, "t=");
    if (times.length !== 1) return undefined;
    const [time] = times as [string];
    return { digests: valuesOf(parts, "v1="), before: `${time}.`, behind: "", time };
  },
});

/** `X-Hub-Signature-256: sha256=<hex>` over the body; `X-Hub-Signature` is SHA-1 and is not looked at. */
export const githubScheme: MadeScheme = (section) => ({
  ...sha256(section, "hex", undefined),
  read: (request) => ofBody(oneDigest(request, "x-hub-signature-256", "sha256=")),
});

/** `X-Slack-Signature: v0=<hex>` over `v0:<time>:<body>`. */
export const slackScheme: MadeScheme = (section) => ({
  ...sha256(section, "hex", TOLERANCE_SECONDS),
  read: (request) => {
    const time = onlyHeader(request, "x-slack-request-timestamp");
    const digests = oneDigest(request, "x-slack-signature", "v0=");
    return { digests, before: `v0:${time ?? ""}:`, behind: "", time };
  },
});

/** `X-PagerDuty-Signature: v1=<hex>,v1=<hex>` over the body. */
export const pagerdutyScheme: MadeScheme = (section) => ({
  ...sha256(section, "hex", undefined),
  read: (request) => ofBody(valuesOf(onlyHeader(request, "x-pagerduty-signature")?.split(",") ?? [], "v1=")),
});

/** `X-Shopify-Hmac-SHA256: <base64>` over the body. */
export const shopifyScheme: MadeScheme = (section) => ({
  ...sha256(section, "base64", undefined),
  read: (request) => ofBody(oneDigest(request, "x-shopify-hmac-sha256", "")),
});

/** `X-Grafana-Alerting-Signature: <hex>` over the body, or over `<time>:<body>` when the contact point names a header for the time. */
export const grafanaScheme: MadeScheme = (section) => {
  const { timestamp } = section;
  return {
    ...sha256(section, "hex", timestamp?.toleranceSeconds),
    read: (request) => {
      const time = timestamp && onlyHeader(request, timestamp.header.toLowerCase());
      const before = timestamp ? `${time ?? ""}:` : "";
      return { digests: oneDigest(request, "x-grafana-alerting-signature", ""), before, behind: "", time };
    },
  };
};

/**
 * Standard Webhooks: `webhook-signature: v1,<base64> v1,<base64>` over `<id>.<time>.<body>`, a secret being base64 behind `whsec_`.
 * Svix' own names begin with `svix-`. The `standardwebhooks` package decodes the body to text first, for which two bodies that are
 * no UTF-8 are the same: here the bytes are signed.
 */
export const standardScheme: MadeScheme = (section) => ({
  ...sha256(section, "base64", TOLERANCE_SECONDS),
  keys: (section.secret ?? []).map(standardKey),
  read: (request) => {
    const names = standardNames(request);
    const id = onlyHeader(request, `${names}-id`);
    const time = onlyHeader(request, `${names}-timestamp`);
    if (!id || time === undefined) return undefined;
    const digests = valuesOf(onlyHeader(request, `${names}-signature`)?.split(" ") ?? [], "v1,");
    return { digests, before: `${id}.${time}.`, behind: "", time };
  },
});

/** Whose names a request has: one set of them is read, never a part of each. */
export function standardNames({ headers }: IncomingRequest): "webhook" | "svix" {
  return headers.has("webhook-signature") || !headers.has("svix-signature") ? "webhook" : "svix";
}

function standardKey(secret: string): Buffer {
  return Buffer.from(standardKeyText(secret), "base64");
}

/** Any other, by the options of its section. */
export const hmacScheme: MadeScheme = (section) => {
  const { algorithm = "sha256", encoding = "hex", header = "", prefix = "", signed = "{body}", timestamp } = section;
  // Header values are one byte a letter: so is the template, to be signed beside them.
  const [before = "", behind = ""] = Buffer.from(signed).toString("latin1").split("{body}");
  return {
    ...keysOf(section),
    algorithm,
    encoding,
    toleranceSeconds: timestamp?.toleranceSeconds,
    read: (request) => {
      const time = timestamp && onlyHeader(request, timestamp.header.toLowerCase());
      const timed = (text: string): string => text.replaceAll("{timestamp}", () => time ?? "");
      const digests = oneDigest(request, header.toLowerCase(), prefix);
      return { digests, before: timed(before), behind: timed(behind), time };
    },
  };
};

function sha256(
  section: ReceiverSection,
  encoding: Scheme["encoding"],
  toleranceSeconds: number | undefined,
): Omit<Scheme, "read"> {
  return { ...keysOf(section), algorithm: "sha256", encoding, toleranceSeconds };
}

function keysOf({ secret = [] }: ReceiverSection): Pick<Scheme, "keys"> {
  return { keys: secret.map((text) => Buffer.from(text)) };
}

function ofBody(digests: readonly string[]): Signed {
  return { digests, before: "", behind: "", time: undefined };
}

function oneDigest(request: IncomingRequest, header: string, prefix: string): readonly string[] {
  const value = onlyHeader(request, header);
  return value === undefined ? [] : valuesOf([value], prefix);
}

function valuesOf(parts: readonly string[], prefix: string): readonly string[] {
  return parts.filter((part) => part.startsWith(prefix)).map((part) => part.slice(prefix.length));
}
