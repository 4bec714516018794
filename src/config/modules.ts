// Loads configuration files and automation modules, TypeScript among them.

import { ConfigError, MillraceError, toError } from "../errors.ts";

/** A module's exports. */
export type ModuleLoader = (file: string) => Promise<Readonly<Record<string, unknown>>>;

/**
 * A loader for this process.
 * @param own modules that are given as they are, by the name they are imported by: `millrace` itself, so that what a
 *   configuration imports is the very code that runs it, wherever either of them is installed
 * @param fresh loads again what this process has loaded before
 */
export function moduleLoader(own: Readonly<Record<string, unknown>>, fresh = false): ModuleLoader {
  return async (file) => {
    try {
      const { createJiti } = await import("jiti"); // only now: a worker with a JSON configuration never pays for it
      // No cache on disk: it would lie in a folder that other users of the machine may write.
      const jiti = createJiti(import.meta.url, {
        virtualModules: { ...own },
        fsCache: false,
        moduleCache: !fresh,
        interopDefault: false,
      });
      return await jiti.import<Record<string, unknown>>(file);
    } catch (error) {
      if (error instanceof MillraceError) throw error;
      const { message } = toError(error);
      throw new ConfigError(
        "CONFIG_LOAD_FAILED",
        `${placeOf(toError(error)) ?? file}: ${message.split("\n")[0]?.trim()}`,
        {
          hint: "Mend the file; it must load without an error by itself.",
          cause: error,
        },
      );
    }
  };
}

/** The file, line and column that is wrong: the parser says it below its message, the runtime in its stack. */
function placeOf({ message, stack = "" }: Error): string | undefined {
  const lines = `${message}\n${stack}`.split("\n");
  const places = lines.map((line) =>
    /^\s+(?:at (?:.* \()?)?(?:file:\/\/)?(\/.+|[A-Za-z]:\\.+):(\d+:\d+)\)?$/.exec(line),
  );
  const found = places.find((place) => place !== null && !/[\\/]node_modules[\\/]/.test(place[1] ?? ""));
  return found ? `${found[1]}:${found[2]}` : undefined;
}
