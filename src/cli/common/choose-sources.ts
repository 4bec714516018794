// Which of the configured sources a command is about.

import type { ResolvedConfig } from "../../config/resolve.ts";
import { ConfigError } from "../../errors.ts";

type Sources = ResolvedConfig<unknown>["sources"];
type Chosen = readonly (Sources extends ReadonlyMap<infer Id, infer Source> ? readonly [Id, Source] : never)[];

/** The one that is named, or all. @throws ConfigError SOURCE_UNKNOWN */
export function chooseSources(sources: Sources, name: string | undefined): Chosen {
  const chosen = [...sources].filter(([id]) => name === undefined || id === name);
  if (chosen.length > 0 || name === undefined) return chosen;
  throw new ConfigError("SOURCE_UNKNOWN", `there is no source ${JSON.stringify(name)}`, {
    hint: `The configuration has: ${[...sources.keys()].join(", ") || "none"}.`,
  });
}
