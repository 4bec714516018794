// Builds the command into a directory of its own, so that it is this source and no other build is disturbed.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "tsdown";

export interface BuiltCli {
  /** The built `cli.js`. */
  readonly file: string;
  remove(): Promise<void>;
}

/** Inside the project, for the build finds its dependencies there. */
export async function buildCli(): Promise<BuiltCli> {
  await mkdir(".millrace", { recursive: true });
  const dir = await mkdtemp(resolve(".millrace/build-"));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    await build({ outDir: dir, dts: false, clean: false, logLevel: "error" });
  } catch (error) {
    await remove();
    throw error;
  }
  return { file: join(dir, "cli.js"), remove };
}
