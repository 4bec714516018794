// The configuration as a command reads it.

import { loadConfigFile } from "../../config/load.ts";
import { type ResolvedConfig, resolveConfig } from "../../config/resolve.ts";
import type { RuleCompiler } from "../../config/rule-files.ts";
import { connectors } from "../../connectors.ts";
import * as millrace from "../../index.ts";

/** What commands are given alike. */
export interface CommandOptions {
  /** The configuration; undefined means the `millrace.config.*` here. */
  readonly config?: string | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Writes a line; resolves when there is room for more. */
  readonly print: (line: string) => Promise<void>;
}

/** Loaded where there are rules: they cost a command their parser. */
const rules: RuleCompiler = async (files, names) => {
  const { compileRules } = await import("../../rules/compile-rules.ts");
  return compileRules(files, names);
};

/** What the file holds. @param file undefined: the `millrace.config.*` here @throws ConfigError where it cannot be read */
export async function readConfig(file: string | undefined, automations = false): Promise<unknown> {
  return loadConfigFile({ file, directory: process.cwd(), modules: { millrace }, rules, automations });
}

/** The same with every section checked, by its connector where it is a source's. @throws ConfigError for what is wrong */
export async function loadConfig(file: string | undefined): Promise<ResolvedConfig<unknown>> {
  return resolveConfig(await readConfig(file), connectors);
}
