// What a configuration file calls, so that an editor knows its options.

import type { Config } from "./schema.ts";

/**
 * The configuration as it is, checked by the compiler.
 * @example
 * export default defineConfig({
 *   sources: { shop: { kind: "postgres", url: env("DATABASE_URL"), tables: ["public.*"] } },
 * });
 */
export function defineConfig(config: Config): Config {
  return config;
}
