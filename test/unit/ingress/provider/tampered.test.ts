// Requests that are not what a provider signed, and odd ones that are.

import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  firstKey,
  headerOf,
  incoming,
  NOW_MS,
  NOW_SECONDS,
  receiver,
  type Sender,
  type SenderName,
  type Sent,
  senderList,
  senders,
  standardSecret,
  withHeader,
} from "../../../support/ingress/good-requests.ts";

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

interface Tampering {
  readonly what: string;
  /** Default: every sender. */
  readonly of?: (sender: Sender, name: SenderName) => boolean;
  readonly reason?: "signature" | "timestamp";
  make(sender: Sender, good: Sent): Sent;
}

const key = firstKey;
const at = (seconds: number): string => String(NOW_MS / 1000 + seconds);
const timed = (sender: Sender): boolean => sender.timed;
const named =
  (...names: readonly SenderName[]) =>
  (_: Sender, name: SenderName): boolean =>
    names.includes(name);

/** The header that signs, changed. */
function sign(sender: Sender, sent: Sent, change: (value: string) => string): Sent {
  return withHeader(sent, sender.signature, change(headerOf(sent, sender.signature)));
}

function redigest(sender: Sender, sent: Sent, change: (digest: string) => string): Sent {
  return sign(sender, sent, (value) => value.replace(sender.digest, change));
}

function doubled(sender: Sender, sent: Sent, wrongFirst: boolean): Sent {
  const wrong = [sender.signature, headerOf(redigest(sender, sent, otherDigit), sender.signature)] as const;
  return { ...sent, headers: wrongFirst ? [wrong, ...sent.headers] : [...sent.headers, wrong] };
}

const otherDigit = (digest: string): string => (digest.startsWith("0") ? "1" : "0") + digest.slice(1);
const body = (change: (body: Buffer) => Buffer | string) => (_: Sender, good: Sent) => ({
  ...good,
  body: Buffer.from(change(good.body)),
});

const tampered: readonly Tampering[] = [
  { what: "a letter of the body changed", make: body((b) => b.toString().replace('"', "'")) },
  { what: "the body parsed and written again", make: body((b) => JSON.stringify(JSON.parse(b.toString()), null, 1)) },
  { what: "a line feed behind the body", make: body((b) => `${b.toString()}\n`) },
  { what: "a byte order mark before the body", make: body((b) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), b])) },
  { what: "no body", make: body(() => "") },
  { what: "no signature", make: (s, good) => withHeader(good, s.signature, undefined) },
  { what: "an empty signature", make: (s, good) => withHeader(good, s.signature, "") },
  { what: "an empty digest", make: (s, good) => redigest(s, good, () => "") },
  { what: "the first digit changed", make: (s, good) => redigest(s, good, otherDigit) },
  { what: "the digest cut to a half", make: (s, good) => redigest(s, good, (d) => d.slice(0, d.length / 2)) },
  { what: "the digest cut to two digits", make: (s, good) => redigest(s, good, (d) => d.slice(0, 2)) },
  { what: "the digest without its last digit", make: (s, good) => redigest(s, good, (d) => d.slice(0, -1)) },
  { what: "the digest too long", make: (s, good) => redigest(s, good, (d) => `${d}00`) },
  { what: "the digest twice", make: (s, good) => redigest(s, good, (d) => d + d) },
  {
    what: "letters that are no digits in the digest",
    make: (s, good) => redigest(s, good, (d) => "z!".repeat(d.length / 2)),
  },
  { what: "letters that are no digits behind the digest", make: (s, good) => redigest(s, good, (d) => `${d}zz`) },
  {
    what: "a letter of two bytes in a digest of the right length",
    make: (s, good) => redigest(s, good, (d) => `${d.slice(0, -1)}\u00e9`),
  },
  { what: "a digest of zeros", make: (s, good) => redigest(s, good, (d) => "0".repeat(d.length)) },
  { what: "a space within the digest", make: (s, good) => redigest(s, good, (d) => `${d.slice(0, 4)} ${d.slice(4)}`) },
  { what: "another secret", make: (s) => s.make({ key: standardSecret("other") }) },
  { what: "an empty secret", make: (s) => s.make({ key: "" }) },
  {
    what: "the secret in another case",
    make: (s) => s.make({ key: key(s).toUpperCase() }),
    of: (s) => key(s) !== key(s).toUpperCase(),
  },
  { what: "the signature doubled, the wrong one behind", make: (s, good) => doubled(s, good, false) },
  { what: "the signature doubled, the wrong one first", make: (s, good) => doubled(s, good, true) },
  {
    what: "the right signature doubled",
    make: (s, good) => ({ ...good, headers: [...good.headers, [s.signature, headerOf(good, s.signature)]] }),
  },
  {
    what: "the digest without what stands before it",
    of: named("github", "slack", "pagerduty", "standard", "svix", "hmac"),
    make: (s, good) => sign(s, good, (v) => v.replace(/^\w+[=,]/, "")),
  },
  {
    what: "an unknown version",
    of: named("slack", "pagerduty", "standard", "svix"),
    make: (s, good) => sign(s, good, (v) => v.replace(/^v\d/, "v9")),
  },
  {
    what: "Stripe's scheme for tests",
    of: named("stripe"),
    make: (s, good) => sign(s, good, (v) => v.replace("v1=", "v0=")),
  },
  {
    what: "an HMAC said to be ed25519",
    of: named("standard", "svix"),
    make: (s, good) => sign(s, good, (v) => v.replace("v1,", "v1a,")),
  },
  {
    what: "the version in capitals",
    of: named("stripe", "slack", "pagerduty", "standard", "svix"),
    make: (s, good) => sign(s, good, (v) => v.replace(/v\d(?=[=,])/, (x) => x.toUpperCase())),
  },
  {
    what: "SHA-1, which GitHub sends beside it",
    of: named("github"),
    make: (s, good) =>
      withHeader(
        withHeader(good, s.signature, undefined),
        "x-hub-signature",
        `sha1=${createHmac("sha1", key(s)).update(good.body).digest("hex")}`,
      ),
  },
  ...(["sha1", "sha512", "md5"] as const).map((algorithm) => ({
    what: `${algorithm} by its name`,
    of: named("github", "hmac"),
    make: (s: Sender, good: Sent) =>
      sign(s, good, () => `${algorithm}=${createHmac(algorithm, key(s)).update(good.body).digest("hex")}`),
  })),
  {
    what: "base64 where hex belongs",
    of: (s) => s.encoding === "hex",
    make: (s, good) => redigest(s, good, (d) => Buffer.from(d, "hex").toString("base64")),
  },
  {
    what: "hex where base64 belongs",
    of: (s) => s.encoding === "base64",
    make: (s, good) => redigest(s, good, (d) => Buffer.from(d, "base64").toString("hex")),
  },
  {
    what: "base64 whose last letter decodes to the same",
    of: named("shopify", "standard", "svix"),
    make: (s, good) =>
      redigest(s, good, (d) => d.replace(/(.)=$/, (_, x: string) => `${String.fromCharCode(x.charCodeAt(0) + 1)}=`)),
  },
  {
    what: "base64 without its padding",
    of: (s) => s.encoding === "base64",
    make: (s, good) => redigest(s, good, (d) => d.replace(/=+$/, "")),
  },
  {
    what: "the secret's text as the key, not what it encodes",
    of: named("standard", "svix"),
    make: (s, good) =>
      redigest(s, good, () =>
        createHmac("sha256", key(s)).update(`msg_1.${NOW_SECONDS}.`).update(good.body).digest("base64"),
      ),
  },
  { what: "another id", of: named("standard"), make: (_, good) => withHeader(good, "webhook-id", "msg_2") },
  { what: "no id", of: named("standard"), make: (_, good) => withHeader(good, "webhook-id", undefined) },
  {
    what: "the id of one set of names, the rest of the other",
    of: named("standard"),
    make: (_, good) => withHeader(withHeader(good, "webhook-id", undefined), "svix-id", "msg_1"),
  },
  {
    what: "only the body signed",
    of: named("stripe", "slack", "grafana", "template"),
    make: (s, good) =>
      redigest(s, good, () =>
        createHmac(s.encoding === "hex" ? "sha256" : "sha512", key(s))
          .update(good.body)
          .digest(s.encoding),
      ),
  },
  { what: "the time renewed", of: (s) => s.timed && !s.timeUnsigned, make: (s) => renewed(s) },
  {
    what: "no time",
    of: timed,
    make: (s, good) => (s.time ? withHeader(good, s.time, undefined) : sign(s, good, (v) => v.replace(/t=\d+,/, ""))),
  },
  {
    what: "two times",
    of: timed,
    make: (s, good) =>
      s.time
        ? { ...good, headers: [...good.headers, [s.time, NOW_SECONDS]] }
        : sign(s, good, (v) => `t=${NOW_SECONDS},${v}`),
  },
  { what: "an old time, signed", of: timed, reason: "timestamp", make: (s) => s.make({ key: key(s), at: at(-301) }) },
  { what: "a time to come, signed", of: timed, reason: "timestamp", make: (s) => s.make({ key: key(s), at: at(301) }) },
  {
    what: "the time in milliseconds, signed",
    of: timed,
    reason: "timestamp",
    make: (s) => s.make({ key: key(s), at: String(NOW_MS) }),
  },
  ...[
    "abc",
    "NaN",
    "-1",
    "0",
    "1e10",
    "Infinity",
    "99999999999999999999",
    "0x6929f0a0",
    `${NOW_SECONDS}.0`,
    `+${NOW_SECONDS}`,
    `0${NOW_SECONDS}`,
    `${NOW_SECONDS}abc`,
  ].map((time) => ({
    what: `the time ${time}, signed`,
    of: timed,
    reason: "timestamp" as const,
    make: (s: Sender) => s.make({ key: key(s), at: time }),
  })),
];

/** A request of an hour ago with today's time, as whoever captured it could send it. */
function renewed(sender: Sender): Sent {
  const old = sender.make({ key: key(sender), at: at(-3600) });
  return sender.time
    ? withHeader(old, sender.time, NOW_SECONDS)
    : sign(sender, old, (v) => v.replace(/t=\d+/, `t=${NOW_SECONDS}`));
}

function verdict(sender: Sender, sent: Sent): unknown {
  return receiver(sender.section).judge(incoming(sent), NOW_MS);
}

describe.each(senderList)("%s", (name, sender) => {
  const good = sender.make({ key: key(sender) });

  test("what it signs is taken, with its id and its type", () => {
    const { events } = verdict(sender, good) as { readonly events: readonly { id: string; type: string }[] };
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ id: sender.id, type: sender.type });
  });

  test.each(tampered.filter(({ of }) => of?.(sender, name) ?? true))("$what is refused", ({ make, reason }) => {
    const sent = make(sender, good);
    expect(sent).not.toEqual(good);
    // A time that is missing or doubled is no part of what is signed.
    const any = reason ?? expect.stringMatching(/^(?:signature|timestamp)$/);
    expect(verdict(sender, sent)).toEqual({ kind: "refused", status: 401, reason: any });
  });

  test("every secret of another receiver is refused", () => {
    for (const [, other] of senderList) {
      const shared = other.section.secret?.some((secret) => sender.section.secret?.includes(secret));
      for (const secret of shared ? [] : (other.section.secret ?? [])) {
        expect(verdict(sender, sender.make({ key: secret }))).toMatchObject({ status: 401, reason: "signature" });
      }
    }
  });

  test("each of its secrets is tried, and none that is not there", () => {
    for (const secret of sender.section.secret ?? []) {
      expect(verdict(sender, sender.make({ key: secret }))).toMatchObject({ kind: "events" });
    }
    const alone = { ...sender, section: { ...sender.section, secret: ["d2hhdCBlbHNl"] } };
    expect(verdict(alone, good)).toMatchObject({ status: 401 });
  });

  test("names of headers are read in any case", () => {
    for (const change of [(n: string) => n.toUpperCase(), (n: string) => n.toLowerCase()]) {
      const sent = { ...good, headers: good.headers.map(([header, value]) => [change(header), value] as const) };
      expect(verdict(sender, sent)).toMatchObject({ kind: "events" });
    }
  });

  test("no change of a byte of the body, or of a letter of what signs, is taken", () => {
    const request = receiver(sender.section);
    const signature = headerOf(good, sender.signature);
    fc.assert(
      fc.property(fc.boolean(), fc.nat(), fc.integer({ min: 1, max: 255 }), (inBody, place, xor) => {
        let sent: Sent;
        if (inBody) {
          const bytes = Buffer.from(good.body);
          bytes[place % bytes.length] = (bytes[place % bytes.length] as number) ^ xor;
          sent = { ...good, body: bytes };
        } else {
          const index = place % signature.length;
          const letter = String.fromCharCode(signature.charCodeAt(index) ^ (xor & 0x7f));
          // Hex is read in either case, and spaces around a value are no part of it.
          if (letter.toLowerCase() === signature[index]?.toLowerCase() || letter.trim() === "") return;
          sent = withHeader(good, sender.signature, signature.slice(0, index) + letter + signature.slice(index + 1));
        }
        expect(request.judge(incoming(sent), NOW_MS)).toMatchObject({ kind: "refused", status: 401 });
      }),
      { seed, numRuns: 150 },
    );
  });
});

test.each(senderList.filter(([, sender]) => sender.timed))(
  "%s: a time of five minutes ago or ahead is near enough",
  (_, sender) => {
    for (const seconds of [-300, -1, 1, 300]) {
      expect(verdict(sender, sender.make({ key: key(sender), at: at(seconds) }))).toMatchObject({ kind: "events" });
    }
  },
);

describe("what is odd, and right", () => {
  const stripe: Sender = senders.stripe;
  const pagerduty: Sender = senders.pagerduty;
  const standard: Sender = senders.standard;
  const zeros = "0".repeat(64);
  const none = Buffer.alloc(32).toString("base64");

  test.each<[string, Sender, (value: string) => string]>([
    ["Stripe: several digests, the last one right", stripe, (v) => v.replace("v1=", `v1=${zeros},v0=${zeros},v1=`)],
    ["Stripe: several digests, the first one right", stripe, (v) => `${v},v1=${zeros}`],
    ["PagerDuty: several digests, the last one right", pagerduty, (v) => `v1=${zeros},v1=ab,${v}`],
    ["PagerDuty: several digests, the first one right", pagerduty, (v) => `${v},v1=${zeros}`],
    ["Standard Webhooks: several, the last one right", standard, (v) => `v1,${none} v1a,${none} v2,x ${v}`],
    ["Standard Webhooks: several, the first one right", standard, (v) => `${v} v1,${none}`],
    ["hex in capitals", senders.github, (v) => v.replace(/(?<==).*/, (digest) => digest.toUpperCase())],
  ])("%s", (_, sender, change) => {
    expect(verdict(sender, sign(sender, sender.make({ key: key(sender) }), change))).toMatchObject({ kind: "events" });
  });

  test("a time that is not signed can be renewed by whoever captured the request", () => {
    expect(verdict(senders.hmac, renewed(senders.hmac))).toMatchObject({ kind: "events" });
  });
});
