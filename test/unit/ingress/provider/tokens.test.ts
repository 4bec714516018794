// Tokens and passwords: which are taken.

import { describe, expect, test } from "vitest";
import type { ReceiverSection } from "../../../../src/ingress/provider/receiver.ts";
import { incoming, NOW_MS, receiver } from "../../../support/ingress/good-requests.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** @param headers values of Authorization */
function taken(section: ReceiverSection, headers: readonly string[], query = ""): boolean {
  const sent = { headers: headers.map((value) => ["Authorization", value] as const), body: Buffer.alloc(0), query };
  const verdict = receiver(section).judge(incoming(sent), NOW_MS);
  if (verdict.kind === "refused" && verdict.status === 401) expect(verdict.reason).toBe("token");
  return verdict.kind !== "refused" || verdict.status !== 401;
}

describe("a token", () => {
  const section: ReceiverSection = { provider: "bearer", bearer: ["sec-right", "sec-older"] };

  test.each(["Bearer sec-right", "bearer sec-right", "BEARER  sec-right", "Bearer sec-older"])(
    "%j is taken",
    (value) => {
      expect(taken(section, [value])).toBe(true);
    },
  );

  test.each([
    "",
    "Bearer",
    "Bearer ",
    "sec-right",
    "Bearer sec-righ",
    "Bearer s",
    "Bearer sec-rightx",
    "Bearer SEC-RIGHT",
    "Bearer sec-right sec-right",
    "Bearer sec-right,",
    "Token sec-right",
    `Basic ${base64("sec-right")}`,
    `Basic ${base64(":sec-right")}`,
    "Bearersec-right",
    "Bearer sec-rig\u00e9t",
  ])("%j is refused", (value) => {
    expect(taken(section, [value])).toBe(false);
  });

  test("that is missing, or stands there twice, is refused", () => {
    expect(taken(section, [])).toBe(false);
    expect(taken(section, ["Bearer wrong", "Bearer sec-right"])).toBe(false);
    expect(taken(section, ["Bearer sec-right", "Bearer wrong"])).toBe(false);
    expect(taken(section, [], "access_token=sec-right")).toBe(false);
  });

  test("of alertmanager, datadog and cloudevents is the same", () => {
    for (const provider of ["alertmanager", "datadog", "cloudevents"] as const) {
      expect(taken({ provider, bearer: ["right"] }, ["Bearer right"])).toBe(true);
      expect(taken({ provider, bearer: ["right"] }, ["Bearer wrong"])).toBe(false);
    }
  });

  test("of CloudEvents may stand in the query, once, where there is no header", () => {
    const cloud: ReceiverSection = { provider: "cloudevents", bearer: ["right"] };
    expect(taken(cloud, [], "access_token=right")).toBe(true);
    for (const query of [
      "",
      "access_token=",
      "access_token=wrong",
      "access_token=right&access_token=right",
      "token=right",
    ]) {
      expect(taken(cloud, [], query), query).toBe(false);
    }
    expect(taken(cloud, ["Bearer wrong"], "access_token=right")).toBe(false);
  });
});

describe("user and password", () => {
  const section: ReceiverSection = { provider: "basic", basic: ["monitor:pa:ss\u00e9", "old:pass"] };

  test.each(["monitor:pa:ss\u00e9", "old:pass"])("%s is taken", (pair) => {
    expect(taken(section, [`Basic ${base64(pair)}`])).toBe(true);
    expect(taken(section, [`basic ${base64(pair)}`])).toBe(true);
  });

  test.each([
    "monitor",
    "monitor:",
    ":pa:ss\u00e9",
    "monitor:pa",
    "monitor:pa:ss\u00e9x",
    "xmonitor:pa:ss\u00e9",
    "monitor:pass",
    "old:pa:ss\u00e9",
    "",
  ])("%j is refused", (pair) => {
    expect(taken(section, [`Basic ${base64(pair)}`])).toBe(false);
  });

  test("that is no base64, or other base64 of the same, is refused", () => {
    expect(taken(section, ["Basic old:pass"])).toBe(false);
    expect(taken(section, [`Basic ${base64("old:pass").replace("=", "")}`])).toBe(false);
    expect(taken(section, [`Basic !${base64("old:pass")}`])).toBe(false);
    expect(taken(section, [`Bearer ${base64("old:pass")}`])).toBe(false);
  });
});
