// Once a run, before all files: finds the servers that tests need, and builds the command that they start.

import { readFileSync } from "node:fs";
import type { TestProject } from "vitest/node";
import { findNatsServer } from "../../src/dev/find-nats-server.ts";
import { postgresBinaries } from "../../src/dev/postgres-binaries.ts";
import { toError } from "../../src/errors.ts";
import { buildCli } from "./build-cli.ts";

/** Why a server cannot be had on this machine, by its name. */
export type MissingServers = Readonly<Record<string, string>>;

declare module "vitest" {
  export interface ProvidedContext {
    missingServers: MissingServers;
    /** The built `cli.js`. */
    cliFile: string;
  }
}

// Vitest calls a file's default export.
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  project.provide("missingServers", await findMissingServers());
  // The command line's filters, which vitest does not declare; without them all files count, and we build for nothing.
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] };
  const files = await project.vitest.globTestSpecifications(filenamePattern);
  if (!files.some((file) => startsCommand(file.moduleId))) return async () => {};

  const cli = await buildCli();
  project.provide("cliFile", cli.file);
  return cli.remove;
}

function startsCommand(testFile: string): boolean {
  return /support\/(worker-process|run-command|soak-run)\.ts/.test(readFileSync(testFile, "utf8"));
}

/** @throws Error when `REQUIRE` (names, comma-separated) holds one of them */
async function findMissingServers(): Promise<MissingServers> {
  const missing: Record<string, string> = {};
  try {
    // Found once; the files' own processes inherit it.
    process.env.MILLRACE_NATS_SERVER = await findNatsServer();
  } catch (error) {
    missing.nats = toError(error).message;
  }
  try {
    postgresBinaries(false);
  } catch (error) {
    missing.postgres = toError(error).message;
  }
  for (const name of (process.env.REQUIRE ?? "").split(",")) {
    if (missing[name] !== undefined) throw new Error(`REQUIRE names ${name}, which is missing: ${missing[name]}`);
  }
  return missing;
}
