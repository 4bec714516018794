// When an event has come round to an automation that it has been through, and what a dead letter says of an error.

import { expect, test } from "vitest";
import { cycleIn } from "../../../src/automation/deliver/verdict.ts";
import { summarizeError } from "../../../src/automation/outcome/error-summary.ts";
import type { Delivery } from "../../../src/bus/subscription.ts";
import { visitOf } from "../../../src/event/lineage.ts";
import { rememberSecret } from "../../../src/telemetry/redact.ts";

function delivery(source: string, trail: string): Delivery {
  const headers: Readonly<Record<string, string>> = {
    "ce-source": source,
    "ce-subject": "public.orders/7",
    "ce-hops": "1",
    "ce-trail": trail,
  };
  return { header: (name: string) => headers[name] } as Delivery;
}

const receipt = { id: "receipt", cycles: "stop" } as const;

test("the same key of the same source is a cycle; equal tables and keys of two sources are none", () => {
  const trail = visitOf("receipt", "/shop", "public.orders/7");

  expect(cycleIn(delivery("/shop", trail), receipt, 8)).toMatchObject({ code: "AUTOMATION_CYCLE" });
  expect(cycleIn(delivery("/archive", trail), receipt, 8)).toBeUndefined();
  expect(cycleIn(delivery("/shop", trail), { ...receipt, id: "mail" }, 8)).toBeUndefined();
});

test("an automation that allows cycles is stopped by the limit of hops alone", () => {
  const again = delivery("/shop", visitOf("receipt", "/shop", "public.orders/7"));

  expect(cycleIn(again, { ...receipt, cycles: "allow" }, 2)).toBeUndefined();
  expect(cycleIn(again, { ...receipt, cycles: "allow" }, 1)).toMatchObject({ code: "AUTOMATION_CYCLE" });
});

test("a secret in an error's message does not go into the dead letter, also where the message is cut", () => {
  rememberSecret("s3cret-of-the-mailer");
  const at = 495;

  expect(summarizeError(new Error("refused: s3cret-of-the-mailer")).message).toBe("refused: [redacted]");
  expect(summarizeError(new Error(`${"x".repeat(at)}s3cret-of-the-mailer`)).message).not.toContain("s3cre");
});
