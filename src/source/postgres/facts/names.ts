// How a source's slot and publication are called in its database.

import type { SourceId } from "../../../event/source-id.ts";
import type { PostgresConfig } from "../options/config.ts";

export interface Names {
  readonly slot: string;
  readonly publication: string;
}

export function namesOf(id: SourceId, config: Partial<Pick<PostgresConfig, "slot" | "publication">>): Names {
  const own = `millrace_${id}`;
  return { slot: config.slot ?? own, publication: config.publication ?? own };
}
