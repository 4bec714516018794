// A database cluster that was made once for the whole run: to copy it takes a fraction of what making one takes.

import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startPostgres } from "../../../src/dev/postgres.ts";

export interface PostgresTemplate {
  /** The data directory of a cluster that is stopped. */
  readonly dataDir: string;
  remove(): Promise<void>;
}

export async function makePostgresTemplate(): Promise<PostgresTemplate> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-template-"));
  await chmod(dir, 0o755);
  const server = await startPostgres({ dataDir: join(dir, "postgres"), settings: { fsync: "off" } });
  await server.stop();
  return { dataDir: server.dataDir, remove: () => rm(dir, { recursive: true, force: true }) };
}

/** With its owner: the server runs as that user. All copies are one cluster to whoever asks for its system identifier. */
export async function copyPostgresTemplate(dataDir: string, to: string): Promise<void> {
  await promisify(execFile)("cp", ["-a", dataDir, to]);
}
