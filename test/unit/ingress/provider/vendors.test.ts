// The vendors' own packages and published examples: what they sign is taken, and what is taken they verify.

import { sign as githubSign, verify as githubVerify } from "@octokit/webhooks-methods";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import { describe, expect, test } from "vitest";
import {
  incoming,
  receiver,
  type Sent,
  senders,
  standardSecret,
  withHeader,
} from "../../../support/ingress/good-requests.ts";

// A body that does not survive being read and written, nor being taken for Latin-1.
const text = '{ "id":"evt_1","type":"a.b", "n":1.0, "big":12345678901234567890, "s":"\\u00e9 \u00e9 \u{1f600} \\/" }\n';
const json = ["content-type", "application/json"] as const;
const now = new Date();
const seconds = Math.floor(now.getTime() / 1000);

function kind(section: Parameters<typeof receiver>[0], sent: Sent, nowMs = now.getTime()): string {
  const verdict = receiver(section).judge(incoming(sent), nowMs);
  return verdict.kind === "refused" ? `${verdict.status} ${verdict.reason}` : verdict.kind;
}

describe("stripe", () => {
  const section = { provider: "stripe", secret: ["whsec_test"] } as const;
  const { webhooks } = new Stripe("sk_test_none");

  test("what the package signs is taken", () => {
    const signature = webhooks.generateTestHeaderString({ payload: text, secret: "whsec_test", timestamp: seconds });
    expect(kind(section, { headers: [json, ["stripe-signature", signature]], body: Buffer.from(text) })).toBe("events");
    const other = webhooks.generateTestHeaderString({ payload: text, secret: "whsec_other", timestamp: seconds });
    expect(kind(section, { headers: [json, ["stripe-signature", other]], body: Buffer.from(text) })).toBe(
      "401 signature",
    );
  });

  test("what is taken, the package verifies", () => {
    const sent = senders.stripe.make({ key: "whsec_test", at: String(seconds), body: text });
    expect(kind(section, sent)).toBe("events");
    const signature = sent.headers.find(([name]) => name === "Stripe-Signature")?.[1] ?? "";
    expect(webhooks.constructEvent(sent.body, signature, "whsec_test")).toMatchObject({ id: "evt_1" });
  });
});

describe("github", () => {
  const section = { provider: "github", secret: ["It's a Secret to Everybody"] } as const;

  test("what the package signs is taken, and what is taken it verifies", async () => {
    const signature = await githubSign("It's a Secret to Everybody", text);
    const sent: Sent = {
      headers: [json, ["x-github-event", "push"], ["x-hub-signature-256", signature]],
      body: Buffer.from(text),
    };
    expect(kind(section, sent)).toBe("events");
    expect(await githubVerify("It's a Secret to Everybody", text, signature)).toBe(true);
  });

  test("the example of its documentation is verified", () => {
    const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const body = Buffer.from("Hello, World!");
    // It is no JSON: so far it comes.
    expect(kind(section, { headers: [json, ["x-hub-signature-256", signature]], body })).toBe("400 body");
    expect(
      kind(section, { headers: [json, ["x-hub-signature-256", signature]], body: Buffer.from("Hello, World?") }),
    ).toBe("401 signature");
  });
});

describe.each([
  ["standardwebhooks", "standard", StandardWebhook],
  ["svix", "svix", SvixWebhook],
] as const)("%s", (_, name, Webhook) => {
  const secret = standardSecret("vendor");
  const section = { provider: "standard", secret: [standardSecret("older"), secret] } as const;
  const names = name === "svix" ? "svix" : "webhook";

  test("what the package signs is taken", () => {
    const signature = new Webhook(secret).sign("msg_1", now, text);
    const headers: Sent["headers"] = [
      json,
      [`${names}-id`, "msg_1"],
      [`${names}-timestamp`, String(seconds)],
      [`${names}-signature`, signature],
    ];
    expect(kind(section, { headers, body: Buffer.from(text) })).toBe("events");
    expect(kind({ ...section, secret: [standardSecret("older")] }, { headers, body: Buffer.from(text) })).toBe(
      "401 signature",
    );
  });

  test("what is taken, the package verifies", () => {
    const sent = senders[name].make({ key: secret, at: String(seconds), body: text });
    expect(kind(section, sent)).toBe("events");
    const headers = Object.fromEntries(sent.headers.map(([header, value]) => [header.toLowerCase(), value]));
    expect(new Webhook(secret).verify(text, headers)).toMatchObject({ id: "evt_1" });
  });

  test("two bodies that the package takes for the same text are two", () => {
    const bytes = (byte: number): Buffer =>
      Buffer.concat([Buffer.from('{"a":"'), Buffer.from([byte]), Buffer.from('"}')]);
    const sent = senders[name].make({ key: secret, at: String(seconds), body: bytes(0xff) });
    expect(kind(section, sent)).toBe("400 body"); // signed, and no JSON
    expect(kind(section, { ...sent, body: bytes(0xfe) })).toBe("401 signature");
  });
});

test("the example of the specification of Standard Webhooks is verified", () => {
  const section = { provider: "standard", secret: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] } as const;
  const headers: Sent["headers"] = [
    ["webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"],
    ["webhook-timestamp", "1614265330"],
    ["webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
  ];
  const sent: Sent = { headers, body: Buffer.from('{"test": 2432232314}') };
  expect(kind(section, sent, 1_614_265_330_000)).toBe("events");
  expect(kind(section, sent)).toBe("401 timestamp");
  // As Supabase writes its keys (standard-webhooks/standard-webhooks#235).
  const supabase = { provider: "standard", secret: ["v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] } as const;
  expect(kind(supabase, sent, 1_614_265_330_000)).toBe("events");
});

test("the example of Slack's documentation is verified", () => {
  const section = { provider: "slack", secret: ["8f742231b10e8888abcd99yyyzzz85a5"] } as const;
  const body = Buffer.from(
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
  );
  const headers: Sent["headers"] = [
    ["content-type", "application/x-www-form-urlencoded"],
    ["x-slack-request-timestamp", "1531420618"],
    ["x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
  ];
  expect(kind(section, { headers, body }, 1_531_420_618_000)).toBe("events");
  expect(
    kind(section, withHeader({ headers, body }, "x-slack-request-timestamp", "1531420619"), 1_531_420_618_000),
  ).toBe("401 signature");
});
