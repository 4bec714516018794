// Puts SecantusDB where the tests find it: in a Python environment of its own, made at the first need.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findSecantus, SECANTUS_PROGRAM, SECANTUS_VERSION } from "../../../src/dev/secantus.ts";
import { toError } from "../../../src/errors.ts";

const run = promisify(execFile);

const INSTALL_MS = 180_000;

/** The path of its program: the one that `MILLRACE_SECANTUS` names, else an own one. @throws Error that says why it cannot be had */
export async function installSecantus(): Promise<string> {
  if (process.env.MILLRACE_SECANTUS) return findSecantus();
  const place = join(tmpdir(), `millrace-accept-secantus-${SECANTUS_VERSION}`);
  const file = join(place, "bin", SECANTUS_PROGRAM); // the last thing that pip makes
  if (existsSync(file)) return file;
  try {
    await run("python3", ["-m", "venv", "--clear", place], { timeout: INSTALL_MS });
    await run(join(place, "bin", "pip"), ["install", "-q", `secantusdb==${SECANTUS_VERSION}`], { timeout: INSTALL_MS });
  } catch (error) {
    const { stderr = "" } = error as { readonly stderr?: string };
    const why = stderr.trim().split("\n").at(-1) || toError(error).message;
    throw new Error(`SecantusDB ${SECANTUS_VERSION} could not be installed (Python and PyPI are needed): ${why}`);
  }
  return file;
}
