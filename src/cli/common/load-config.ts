// The configuration as a command reads it that runs no automation.

import { connectors } from "../../app.ts";
import { loadConfigFile } from "../../config/load.ts";
import { type ResolvedConfig, resolveConfig } from "../../config/resolve.ts";
import * as millrace from "../../index.ts";

/** What the file holds. @param file undefined: the `millrace.config.*` here @throws ConfigError where it cannot be read */
export async function readConfig(file: string | undefined): Promise<unknown> {
  return loadConfigFile({ file, directory: process.cwd(), modules: { millrace }, automations: false });
}

/** The same with every section checked, by its connector where it is a source's. @throws ConfigError for what is wrong */
export async function loadConfig(file: string | undefined): Promise<ResolvedConfig<unknown>> {
  return resolveConfig(await readConfig(file), connectors);
}
