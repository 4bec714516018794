// Each rule of test/support/check/log-facts.ts broken in a copy of the source, on which the test that holds it must fail.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { LOG_FACTS, type LogFact } from "../support/check/log-facts.ts";
import { mutate } from "../support/mutant.ts";
import { missing } from "../support/servers.ts";

/** As vitest writes them. */
interface Results {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

/** Runs the one test of a fact on a copy of the project with this source. */
async function run({ file, test: name, broken }: LogFact): Promise<Results> {
  const root = join(await mutate(broken), "..");
  for (const part of ["test", "vitest.config.ts", "tsdown.config.ts"])
    await cp(resolve(part), join(root, part), { recursive: true });
  const pattern = `${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace("%s", ".*")}$`;
  const args = ["run", file, "-t", pattern, "--reporter=json", "--outputFile=results.json"];
  const { VITEST: _, VITEST_POOL_ID: _pool, VITEST_WORKER_ID: _worker, ...env } = process.env;
  const child = spawn(process.execPath, [resolve("node_modules/vitest/vitest.mjs"), ...args], {
    cwd: root,
    env: { ...env, WAIT_MS: "5000" },
    stdio: "ignore",
  });
  await once(child, "exit");
  const results = JSON.parse(await readFile(join(root, "results.json"), "utf8")) as Results;
  await rm(root, { recursive: true });
  return results;
}

test.skipIf(missing("postgres")).each(LOG_FACTS)("$test: fails with $broken.name", async (fact) => {
  const { numFailedTests, numPassedTests } = await run(fact);

  console.error(`${fact.broken.name}: ${numFailedTests} failed, ${numPassedTests} passed`);
  expect(numFailedTests).toBeGreaterThan(0);
});
