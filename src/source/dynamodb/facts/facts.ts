// What there is of the tables that a source reads: read once, in one place. Nothing is judged here, and nothing changed.

import type { DynamoApi, StreamPage, TableFacts } from "../client/api.ts";
import { ServerError, translateError } from "../client/errors.ts";
import type { DynamoConfig } from "../options/config.ts";
import { isName, tableFilter } from "../options/table-pattern.ts";

export interface ReadTable extends TableFacts {
  /** One page of its stream; undefined where it has none that can be asked. */
  readonly page: StreamPage | undefined;
}

export type WantedTables = Pick<DynamoConfig, "tables" | "tags" | "outbox">;

export interface DynamoFacts {
  readonly tables: readonly ReadTable[];
  /** Names in the configuration of tables that are not there. */
  readonly missing: readonly string[];
  /** Names of tables that a pattern names, and that lack a tag: they are not read. */
  readonly untagged: readonly string[];
}

/** Names of the tables that there are, as the patterns name them, and of the outbox; sorted. @throws ConfigError, TransientError */
export async function readNames(api: DynamoApi, { tables, outbox }: WantedTables): Promise<readonly string[]> {
  const reads = tableFilter(tables);
  const names = new Set(tables.filter(isName).filter(reads));
  if (outbox !== undefined) names.add(outbox.table);
  if (tables.every((pattern) => isName(pattern) || pattern.startsWith("!"))) return [...names].sort();
  try {
    for (let after: string | undefined; ; ) {
      const page = await api.listTables(after);
      for (const table of page.tables) if (reads(table)) names.add(table);
      after = page.next;
      if (after === undefined) return [...names].sort();
    }
  } catch (error) {
    throw translateError(error);
  }
}

/** @param only of the tables that are wanted these @throws ConfigError, TransientError */
export async function readFacts(api: DynamoApi, config: WantedTables, only?: readonly string[]): Promise<DynamoFacts> {
  const tables: ReadTable[] = [];
  const missing: string[] = [];
  const untagged: string[] = [];
  for (const name of only ?? (await readNames(api, config))) {
    const facts = await orUndefined(api.describeTable(name));
    if (facts === undefined) {
      missing.push(name);
      continue;
    }
    if (!(await isTagged(api, config, facts))) {
      untagged.push(name);
      continue;
    }
    const { stream } = facts;
    tables.push({ ...facts, page: stream && (await orUndefined(api.describeStream(stream.arn, {}))) });
  }
  return { tables, missing, untagged };
}

/** Whether a table has the tags that are asked for, or is named, which needs none. @throws ConfigError, TransientError */
export async function isTagged(
  api: DynamoApi,
  { tables, tags, outbox }: WantedTables,
  { table, arn }: Pick<TableFacts, "table" | "arn">,
): Promise<boolean> {
  if (tags === undefined || tables.includes(table) || table === outbox?.table) return true;
  const missing = new Map(Object.entries(tags));
  for (let after: string | undefined; ; ) {
    const page = await orUndefined(api.tags(arn, after));
    for (const [name, value] of Object.entries(page?.tags ?? {})) if (missing.get(name) === value) missing.delete(name);
    after = page?.next;
    if (missing.size === 0 || after === undefined) return missing.size === 0;
  }
}

/** @throws ConfigError, TransientError */
async function orUndefined<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ServerError && error.refusal === "unknown") return undefined;
    throw translateError(error);
  }
}
