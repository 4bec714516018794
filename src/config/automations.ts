// Finds the automations that a configuration file names by a glob.

import { relative } from "node:path";
import { glob } from "tinyglobby";
import { ConfigError } from "../errors.ts";
import type { ModuleLoader } from "./modules.ts";

/** What every automation carries, whichever copy of this package made it. */
const BRAND = Symbol.for("millrace.automation");

/**
 * The automations themselves: those of a glob's modules in the order of their files, or the given list as it is.
 * @param setting the configuration's `automations`
 * @throws ConfigError AUTOMATIONS_NOT_FOUND, AUTOMATION_DUPLICATE, CONFIG_LOAD_FAILED
 */
export async function loadAutomations(setting: unknown, directory: string, load: ModuleLoader): Promise<unknown> {
  if (typeof setting !== "string") return setting;
  const files = await glob(setting, {
    cwd: directory,
    absolute: true,
    ignore: ["**/node_modules/**", "**/*.d.{ts,mts}", "**/*.{test,spec}.*"],
  });
  const found = new Map<string, { readonly automation: object; readonly file: string }>();
  for (const file of files.sort()) {
    for (const exported of Object.values(await load(file))) {
      const id = automationId(exported);
      if (id === undefined) continue;
      const known = found.get(id);
      if (known !== undefined && known.automation !== exported) throw duplicate(id, known.file, file, directory);
      found.set(id, known ?? { automation: exported as object, file });
    }
  }
  if (found.size > 0) return [...found.values()].map(({ automation }) => automation);
  throw new ConfigError("AUTOMATIONS_NOT_FOUND", `automations: no module of ${setting} exports an automation`, {
    hint: "Mend the glob (it is relative to the configuration file), or remove the option.",
  });
}

function automationId(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !(BRAND in value)) return undefined;
  return "id" in value && typeof value.id === "string" ? value.id : undefined;
}

function duplicate(id: string, first: string, second: string, directory: string): ConfigError {
  const where = `${relative(directory, first)} and ${relative(directory, second)}`;
  return new ConfigError("AUTOMATION_DUPLICATE", `two automations are named ${JSON.stringify(id)}: ${where}`, {
    hint: "Give one of them another id; the id is its durable's name.",
  });
}
