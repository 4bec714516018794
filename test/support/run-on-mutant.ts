// Runs a test of this project on a copy of it with one promise broken.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Mutation, mutate } from "./mutant.ts";

/** As vitest writes them. */
export interface Results {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

export interface MutantRun {
  readonly mutation: Mutation;
  /** Of the tests, from the project's root. */
  readonly file: string;
  /** Of the names of the tests; all by default. */
  readonly pattern?: string;
  /** Instead of the project's own configuration, where the test needs none of it. */
  readonly config?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What comes out of it. Nothing of the copy is left. */
export async function runOnMutant({ mutation, file, pattern, config, env: more }: MutantRun): Promise<Results> {
  const root = join(await mutate(mutation), "..");
  for (const part of ["test", "vitest.config.ts", "tsdown.config.ts"])
    await cp(resolve(part), join(root, part), { recursive: true });
  if (config !== undefined) await writeFile(join(root, "vitest.config.ts"), config);
  const chosen = pattern === undefined ? [] : ["-t", pattern];
  const args = ["run", file, ...chosen, "--reporter=json", "--outputFile=results.json"];
  const { VITEST: _, VITEST_POOL_ID: _pool, VITEST_WORKER_ID: _worker, ...env } = process.env;
  const child = spawn(process.execPath, [resolve("node_modules/vitest/vitest.mjs"), ...args], {
    cwd: root,
    env: { ...env, ...more },
    stdio: "ignore",
  });
  await once(child, "exit");
  const results = JSON.parse(await readFile(join(root, "results.json"), "utf8")) as Results;
  await rm(root, { recursive: true });
  return results;
}
