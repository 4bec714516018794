// Finds and reads the files of rules that a configuration names; what they hold is not known here.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { glob } from "tinyglobby";
import { ConfigError } from "../errors.ts";
import { endpointKind } from "./endpoints-schema.ts";

/** A file of rules, by its name relative to the configuration. */
interface RuleFile {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** What of the configuration rules may name. */
type Names = Readonly<Record<Section, readonly string[]>> & {
  /** Of the endpoints, by name. */
  readonly kinds: Readonly<Record<string, string>>;
};
type Section = "sources" | "endpoints" | "webhooks";

export type RuleCompiler = (files: readonly RuleFile[], names: Names) => Compiled | Promise<Compiled>;
type Compiled = readonly { readonly automation: object; readonly place: string }[];

/** All files of a glob, in the order of their names. @throws ConfigError RULES_NOT_FOUND */
export async function readRules(pattern: string, directory: string): Promise<readonly RuleFile[]> {
  const files = await glob(pattern, { cwd: directory, ignore: ["**/node_modules/**"] });
  if (files.length === 0) {
    throw new ConfigError("RULES_NOT_FOUND", `rules: there is no file ${pattern}`, {
      hint: "Mend the glob (it is relative to the configuration file), or remove the option.",
    });
  }
  return await Promise.all(files.sort().map(async (file) => ({ file, bytes: await readFile(join(directory, file)) })));
}

/** The names in sections that were not checked yet. */
export function namesIn(config: object): Names {
  const section = (name: Section): Readonly<Record<string, unknown>> => {
    const value = (config as Readonly<Partial<Record<Section, unknown>>>)[name];
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  };
  const [sources, endpoints, webhooks] = (["sources", "endpoints", "webhooks"] as const).map(section) as [
    object,
    object,
    object,
  ];
  return {
    ...{ sources: Object.keys(sources), endpoints: Object.keys(endpoints), webhooks: Object.keys(webhooks) },
    kinds: Object.fromEntries(Object.entries(endpoints).map(([name, endpoint]) => [name, endpointKind(endpoint)])),
  };
}
