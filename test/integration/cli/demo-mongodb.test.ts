// `millrace demo --source mongodb`: nothing is lost on the server that there is, and one line says what to do where there is none.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand } from "../../support/process/run-command.ts";
import { scratchDir } from "../../support/servers.ts";

test("without a MongoDB server one line says how to have one, and nothing is started or left", async () => {
  const cwd = await scratchDir();
  const env = { MONGODB_URI: "", MILLRACE_SECANTUS: "", XDG_CACHE_HOME: cwd };

  const { code, stdout, stderr } = await runCommand(["demo", "--source", "mongodb", "--json"], { cwd, env });

  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^MONGODB_SERVER_MISSING: .+MONGODB_URI.+pip install secantusdb==\S+\n$/s);
  expect(await readdir(join(cwd, ".millrace/demo"))).toEqual([]);
});
