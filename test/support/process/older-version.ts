// The command as an older commit built it, for tests of what an upgrade finds on the bus and in the database.

import { execFile, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { build } from "tsdown";
import { toError } from "../../../src/errors.ts";
import { entry } from "../../../tsdown.config.ts";

/** The older version that upgrades are tested from. Move it on to each release once that is out. */
export const OLDER_COMMIT = "106134902a837955882c9a2bdbdad287be693094";

/** What the command is built of and reads. */
const NEEDED = ["src", "migrations", "package.json", "tsconfig.json"];

const run = promisify(execFile);

/** Disposing of it removes it. */
export interface OlderVersion extends AsyncDisposable {
  /** Its built `cli.js`. */
  readonly cliFile: string;
}

/** Whether this checkout lacks that commit, as a shallow clone does; says so aloud. For `describe.skipIf`. */
export function lacksOlderVersion(): boolean {
  const lacks = spawnSync("git", ["cat-file", "-e", OLDER_COMMIT]).status !== 0;
  if (lacks) console.error(`skipped: this clone has no commit ${OLDER_COMMIT}; run \`git fetch --unshallow\``);
  return lacks;
}

/**
 * Takes the commit's source out of this clone and builds it. It lies inside the project, for that is where its build and
 * its command find the dependencies: those that are installed for this checkout.
 * @throws Error when this is no clone, or one without that commit
 */
export async function buildOlderVersion(): Promise<OlderVersion> {
  await mkdir(".millrace", { recursive: true });
  const dir = await mkdtemp(resolve(".millrace/older-"));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    await unpack(dir);
    await build({
      cwd: dir,
      config: false,
      entry: { cli: entry.cli },
      outDir: join(dir, "dist"),
      format: "esm",
      target: "node20",
      platform: "node",
      outExtensions: () => ({ js: ".js" }),
      dts: false,
      clean: false,
      logLevel: "error",
    });
  } catch (error) {
    await remove();
    throw error;
  }
  return { cliFile: join(dir, "dist", "cli.js"), [Symbol.asyncDispose]: remove };
}

async function unpack(dir: string): Promise<void> {
  const archive = join(dir, "source.tar");
  try {
    const { stdout } = await run("git", ["archive", "--format=tar", OLDER_COMMIT, ...NEEDED], {
      encoding: "buffer",
      maxBuffer: 256 * 1024 * 1024,
    });
    await writeFile(archive, stdout);
  } catch (error) {
    throw new Error(
      `the older version, commit ${OLDER_COMMIT}, cannot be taken out of this checkout: ${toError(error).message.trim()}\n` +
        "This test needs a whole clone: run `git fetch --unshallow` in a shallow one (in CI: fetch-depth: 0).",
      { cause: error },
    );
  }
  await run("tar", ["-xf", archive, "-C", dir]);
}
