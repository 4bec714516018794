// Builds the command into a directory of its own, so that it is this source and no other build is disturbed.

import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "tsdown";

export interface BuiltCli {
  /** The built `cli.js`. */
  readonly file: string;
  remove(): Promise<void>;
}

/** Inside the project, for the build finds its dependencies there; laid out like the package. */
export async function buildCli(): Promise<BuiltCli> {
  await mkdir(".millrace", { recursive: true });
  const dir = await mkdtemp(resolve(".millrace/build-"));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    await copyFile("package.json", join(dir, "package.json"));
    await build({ outDir: join(dir, "dist"), dts: false, clean: false, logLevel: "error" });
  } catch (error) {
    await remove();
    throw error;
  }
  return { file: join(dir, "dist/cli.js"), remove };
}
