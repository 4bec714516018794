// What we compare with: Postgres' own reader of the same log, writing to /dev/null.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);

const places = ["/usr/lib/postgresql/15/bin/pg_recvlogical", "/usr/bin/pg_recvlogical"];

/** Its path, or undefined when Debian's client tools are not installed. */
export function findPgRecvlogical(): string | undefined {
  return places.find((place) => existsSync(place));
}

/** The seconds it takes for all that the slot holds up to `endLsn`, its start-up included (some 20 ms). */
export async function drainWithPgRecvlogical(
  file: string,
  options: { readonly url: string; readonly slot: string; readonly publication: string; readonly endLsn: string },
): Promise<number> {
  const start = performance.now();
  await run(file, [
    ...["--dbname", options.url, "--slot", options.slot, "--start", "--no-loop", "--file", "/dev/null"],
    ...["--endpos", options.endLsn, "--plugin", "pgoutput"],
    ...["--option", "proto_version=1", "--option", `publication_names=${options.publication}`],
  ]);
  return (performance.now() - start) / 1000;
}

export async function pgRecvlogicalVersion(file: string): Promise<string> {
  const { stdout } = await run(file, ["--version"]);
  return stdout.trim().replace(/^\D+/, "");
}
