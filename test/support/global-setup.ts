// Once a run, before all files: finds the servers that tests need, makes a Postgres that they copy, and builds the command
// that they start.

import { readFileSync } from "node:fs";
import type { TestProject } from "vitest/node";
import { findNatsServer } from "../../src/dev/find-nats-server.ts";
import { type PostgresPackage, postgresBinaries } from "../../src/dev/postgres-binaries.ts";
import { toError } from "../../src/errors.ts";
import { findDynamo } from "./dynamodb/dynamo-target.ts";
import { findMongo } from "./mongodb/mongo-target.ts";
import { FETCHED_POSTGRES, fetchPostgres, type OlderPostgres } from "./postgres/older-postgres.ts";
import { makePostgresTemplate } from "./postgres/template.ts";
import { buildCli } from "./process/build-cli.ts";

/** Why a server cannot be had on this machine, by its name. */
export type MissingServers = Readonly<Record<string, string>>;

declare module "vitest" {
  export interface ProvidedContext {
    missingServers: MissingServers;
    /** Unpacked, by name; those that are missing or that no file needs are not there. */
    olderPostgres: Readonly<Partial<Record<OlderPostgres, PostgresPackage>>>;
    /** The data directory of a Postgres that files copy; undefined where it would not pay. */
    postgresTemplate: string | undefined;
    /** The built `cli.js`. */
    cliFile: string;
    /** The built `crashing-worker-main.ts`. */
    crashingWorkerFile: string;
    /** The built `automation-process-main.ts`. */
    automationProcessFile: string;
  }
}

// Vitest calls a file's default export.
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  // The command line's filters, which vitest does not declare; without them all files count, and we build for nothing.
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] };
  const files = await project.vitest.globTestSpecifications(filenamePattern);
  const older = await fetchOlder(
    process.env.POSTGRES !== undefined ||
      files.some((file) => imports(file.moduleId, /support\/postgres\/older-postgres\.ts/)),
  );
  const mongo = await findMongoIf(
    files.some((file) => imports(file.moduleId, /support\/mongodb\/mongo-(servers|target)\.ts/)),
  );
  const dynamo = await findDynamoIf(
    files.some((file) =>
      imports(file.moduleId, /(support\/dynamodb\/(shared-dynamo|dynamo-target)|\/dynamo-targets)\.ts/),
    ),
  );
  const missing = await findMissingServers({ ...older.missing, ...mongo, ...dynamo });
  project.provide("missingServers", missing);
  project.provide("olderPostgres", older.found);
  const served = files.filter(({ moduleId }) => /\/test\/(contract|integration|fault)\//.test(moduleId));
  const template = served.length > 1 && missing.postgres === undefined ? await makePostgresTemplate() : undefined;
  project.provide("postgresTemplate", template?.dataDir);
  if (
    !files.some((file) =>
      imports(
        file.moduleId,
        /support\/process\/(worker-process|documented-commands|crashing-worker|automation-process|run-command|shop-commands|on-terminal|soak-run|automations-chaos|dev-process)\.ts|inject\("cliFile"\)/,
      ),
    )
  ) {
    return async () => template?.remove();
  }

  const cli = await buildCli();
  project.provide("cliFile", cli.file);
  project.provide("crashingWorkerFile", cli.crashingWorkerFile);
  project.provide("automationProcessFile", cli.automationProcessFile);
  return async () => {
    await Promise.all([cli.remove(), template?.remove()]);
  };
}

function imports(testFile: string, support: RegExp): boolean {
  return support.test(readFileSync(testFile, "utf8"));
}

/** Says once a run what the tests of the MongoDB source run on. */
async function findMongoIf(needed: boolean): Promise<MissingServers> {
  if (!needed) return {};
  try {
    console.error(await findMongo());
    return {};
  } catch (error) {
    return { mongodb: toError(error).message };
  }
}

/** The same of the DynamoDB source. */
async function findDynamoIf(needed: boolean): Promise<MissingServers> {
  if (!needed) return {};
  try {
    console.error(await findDynamo());
    return {};
  } catch (error) {
    return { dynamodb: toError(error).message };
  }
}

async function fetchOlder(
  needed: boolean,
): Promise<{ readonly found: Partial<Record<OlderPostgres, PostgresPackage>>; readonly missing: MissingServers }> {
  const found: Partial<Record<OlderPostgres, PostgresPackage>> = {};
  const missing: Record<string, string> = {};
  const fetch = async (name: OlderPostgres): Promise<void> => {
    try {
      found[name] = await fetchPostgres(name);
    } catch (error) {
      missing[name] = toError(error).message;
    }
  };
  if (needed) await Promise.all(FETCHED_POSTGRES.map(fetch));
  return { found, missing };
}

/** @throws Error when `REQUIRE` (names, comma-separated) holds one of them */
async function findMissingServers(optional: MissingServers): Promise<MissingServers> {
  const missing: Record<string, string> = { ...optional };
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
