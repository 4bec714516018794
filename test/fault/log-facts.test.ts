// Each rule of test/support/check/log-facts.ts broken in a copy of the source, on which the test that holds it must fail.

import { expect, test } from "vitest";
import { LOG_FACTS, type LogFact } from "../support/check/log-facts.ts";
import { drawnOf } from "../support/drawn.ts";
import { type Results, runOnMutant } from "../support/run-on-mutant.ts";
import { missing } from "../support/servers.ts";

/** Runs the one test of a fact on a copy of the project with this source. */
function run({ file, test: name, broken }: LogFact): Promise<Results> {
  const pattern = `${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace("%s", ".*")}$`;
  return runOnMutant({ mutation: broken, file, pattern, env: { WAIT_MS: "5000" } });
}

test.skipIf(missing("postgres")).each(drawnOf("log-facts", LOG_FACTS, 4))(
  "$test: fails with $broken.name",
  async (fact) => {
    const { numFailedTests, numPassedTests } = await run(fact);

    console.error(`${fact.broken.name}: ${numFailedTests} failed, ${numPassedTests} passed`);
    expect(numFailedTests).toBeGreaterThan(0);
  },
);
