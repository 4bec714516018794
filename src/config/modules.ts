// Loads configuration files and automation modules, TypeScript among them.

import { createJiti } from "jiti";
import { ConfigError, MillraceError, toError } from "../errors.ts";

/** A module's exports. */
export type ModuleLoader = (file: string) => Promise<Readonly<Record<string, unknown>>>;

/**
 * A loader for this process.
 * @param own modules that are given as they are, by the name they are imported by: `millrace` itself, so that what a
 *   configuration imports is the very code that runs it, wherever either of them is installed
 */
export function moduleLoader(own: Readonly<Record<string, unknown>>): ModuleLoader {
  // No cache on disk: it would lie in a folder that other users of the machine may write.
  const jiti = createJiti(import.meta.url, { virtualModules: { ...own }, fsCache: false, interopDefault: false });
  return async (file) => {
    try {
      return await jiti.import<Record<string, unknown>>(file);
    } catch (error) {
      if (error instanceof MillraceError) throw error;
      throw new ConfigError("CONFIG_LOAD_FAILED", `${file}: ${toError(error).message.split("\n")[0]}`, {
        hint: "Mend the file; it must load without an error by itself.",
        cause: error,
      });
    }
  };
}
