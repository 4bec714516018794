// What a start says when automations cannot be run against the databases as they are.

import { expect, test } from "vitest";
import { type Refusal, refuseFirst } from "../../../src/automation/run/refusal.ts";
import { ConfigError } from "../../../src/errors.ts";

const refusal = (automation: string): Refusal => ({
  automation,
  error: new ConfigError("AUTOMATION_IMAGES", `${automation}: its trigger reads before`, { hint: "ALTER TABLE a;" }),
});

test("one refusal is thrown as it is, none is fine, and of several the first says how many more there are", () => {
  const one = refusal("low");

  expect(() => refuseFirst([])).not.toThrow();
  expect(() => refuseFirst([one])).toThrow(one.error);
  expect(() => refuseFirst([one, refusal("paid"), refusal("ship")])).toThrow(
    expect.objectContaining({
      code: "AUTOMATION_IMAGES",
      message: "low: its trigger reads before",
      hint: "ALTER TABLE a;\nThere are 2 more like this: millrace check names all of them.",
    }),
  );
});
