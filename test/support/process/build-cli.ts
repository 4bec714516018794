// Builds the command, the worker that kills itself and the one of automations alone, into a directory of its own, so that it is this source and no other build is disturbed.

import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "tsdown";
import { entry } from "../../../tsdown.config.ts";

export interface BuiltCli {
  /** The built `cli.js`. */
  readonly file: string;
  /** The built `crashing-worker-main.ts`. */
  readonly crashingWorkerFile: string;
  /** The built `automation-process-main.ts`. */
  readonly automationProcessFile: string;
  remove(): Promise<void>;
}

/**
 * Inside the project, for the build finds its dependencies there; laid out like the package.
 * @param options.sourcemap to tell what of the source a place in the build is
 */
export async function buildCli({ sourcemap = false }: { readonly sourcemap?: boolean } = {}): Promise<BuiltCli> {
  await mkdir(".millrace", { recursive: true });
  const dir = await mkdtemp(resolve(".millrace/build-"));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    await copyFile("package.json", join(dir, "package.json"));
    const workers = {
      "crashing-worker": "test/support/process/crashing-worker-main.ts",
      "automation-process": "test/support/process/automation-process-main.ts",
    };
    await build({
      entry: { ...entry, ...workers },
      outDir: join(dir, "dist"),
      dts: false,
      sourcemap,
      clean: false,
      logLevel: "error",
    });
  } catch (error) {
    await remove();
    throw error;
  }
  const built = (name: string): string => join(dir, "dist", `${name}.js`);
  return {
    file: built("cli"),
    crashingWorkerFile: built("crashing-worker"),
    automationProcessFile: built("automation-process"),
    remove,
  };
}
