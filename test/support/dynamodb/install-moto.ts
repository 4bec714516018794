// Puts moto, an independent stand-in for AWS, where the tests find it: in a Python environment of its own, made at the first need.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { toError } from "../../../src/errors.ts";

const run = promisify(execFile);

export const MOTO_VERSION = "5.2.5";
const INSTALL_MS = 180_000;

/** The path of its program: the one that `MOTO_SERVER` names, else an own one. @throws Error that says why it cannot be had */
export async function installMoto(): Promise<string> {
  if (process.env.MOTO_SERVER) return process.env.MOTO_SERVER;
  const place = join(tmpdir(), "millrace-accept-moto");
  const file = join(place, "bin", "moto_server");
  if (existsSync(file)) return file;
  try {
    await run("python3", ["-m", "venv", "--clear", place], { timeout: INSTALL_MS });
    const what = `moto[server,dynamodb]==${MOTO_VERSION}`;
    await run(join(place, "bin", "pip"), ["install", "-q", what], { timeout: INSTALL_MS });
  } catch (error) {
    const { stderr = "" } = error as { readonly stderr?: string };
    const why = stderr.trim().split("\n").at(-1) || toError(error).message;
    throw new Error(`moto ${MOTO_VERSION} could not be installed (Python and PyPI are needed): ${why}`);
  }
  return file;
}
