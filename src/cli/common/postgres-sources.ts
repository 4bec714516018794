// The configured Postgres sources, for commands that only they have.

import { connectors } from "../../app.ts";
import { loadConfigFile } from "../../config/load.ts";
import { resolveConfig } from "../../config/resolve.ts";
import type { SourceId } from "../../event/source-id.ts";
import * as millrace from "../../index.ts";
import type { PostgresConfig } from "../../source/postgres/options/config.ts";
import { chooseSources } from "./choose-sources.ts";

export interface PostgresSourceConfig {
  readonly id: SourceId;
  readonly config: PostgresConfig;
}

/** @param name only this one @throws ConfigError SOURCE_UNKNOWN, and what is wrong with the file */
export async function postgresSources(
  file: string | undefined,
  name: string | undefined,
): Promise<readonly PostgresSourceConfig[]> {
  const input = await loadConfigFile({ file, directory: process.cwd(), modules: { millrace }, automations: false });
  return chooseSources(resolveConfig(input, connectors).sources, name)
    .filter(([, { kind }]) => kind === "postgres")
    .map(([id, { config }]) => ({ id, config: config.reveal() as PostgresConfig })); // as its connector parsed it
}
