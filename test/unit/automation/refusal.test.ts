// What a start says when automations cannot be run against the databases as they are.

import { expect, test } from "vitest";
import { type Refusal, refuseFirst } from "../../../src/automation/run/refusal.ts";
import { ConfigError } from "../../../src/errors.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";

const refusal = (automation: string): Refusal => ({
  automation,
  error: new ConfigError("AUTOMATION_IMAGES", `${automation}: its trigger reads before`, { hint: "ALTER TABLE a;" }),
});

test("the first refusal is thrown as it is, and the others are logged with what mends them", () => {
  const log = new RecordedLog();
  const one = refusal("low");

  expect(() => refuseFirst([], silentLogger)).not.toThrow();
  expect(() => refuseFirst([one, refusal("paid"), refusal("ship")], log)).toThrow(one.error);
  expect(log.of("automation_refused")).toMatchObject([
    { automation: "paid", code: "AUTOMATION_IMAGES", hint: "ALTER TABLE a;" },
    { automation: "ship" },
  ]);
});
