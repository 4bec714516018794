// `millrace types`: writes what the rows of each source look like, as TypeScript and as JSON Schema.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { typeFiles } from "../../schema/type-files.ts";
import { capableSources } from "../common/capable-sources.ts";
import { loadConfig } from "../common/load-config.ts";

export interface TypesOptions {
  readonly config?: string | undefined;
  /** Undefined means all. */
  readonly source?: string | undefined;
  /** The directory of the files. */
  readonly out: string;
  /** Write nothing: compare. */
  readonly check: boolean;
  readonly print: (line: string) => Promise<void>;
}

/** Resolves to whether the files were as they should be, or are now. @throws ConfigError CAPABILITY_MISSING and others, TransientError */
export async function types({ config: file, source, out, check, print }: TypesOptions): Promise<boolean> {
  let same = true;
  for (const { id, config, connector } of capableSources(await loadConfig(file), source, "describeCollections")) {
    for (const [name, text] of typeFiles(id, await connector.describeCollections(id, config))) {
      const path = join(out, name);
      const old = await readFile(path, "utf8").catch(() => undefined);
      if (old === text) continue;
      same = false;
      if (check) {
        await print(`${path} ${old === undefined ? "is missing" : "differs from the database"}`);
        continue;
      }
      await mkdir(out, { recursive: true });
      await writeFile(path, text);
      await print(`wrote ${path}`);
    }
  }
  if (check && !same) await print("fix: run millrace types and commit what it writes");
  return same || !check;
}
