// A table that the log describes, with what only the catalog knows. The catalog is of now and the log of then: what was
// renamed, dropped or attached since is told by its number, or as the stream was told last.

import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ToldSchemas } from "../source.ts";
import { ruledTables } from "./check/check-rules.ts";
import { describeTable, type TableDescription } from "./client/catalog.ts";
import type { CompositeStates } from "./client/composite-states.ts";
import type { Session } from "./client/session.ts";
import { collectionSchema } from "./decode/collection-schema.ts";
import type { Described } from "./decode/described-tables.ts";
import type { Relation } from "./decode/table.ts";
import { readTrees } from "./facts/catalog-tables.ts";
import { columnNumbers } from "./options/column-numbers.ts";
import type { RuleBook } from "./options/rule-book.ts";
import type { TableItem } from "./options/table-options.ts";
import { NO_RULES } from "./options/table-rules.ts";

export interface DescribeOptions {
  readonly source: SourceId;
  readonly session: Session;
  readonly schemas: ToldSchemas;
  readonly rules: RuleBook;
  readonly items: readonly TableItem[];
  /** The server's version, as `server_version_num`. */
  readonly version: number;
  readonly log: Logger;
  readonly composites: CompositeStates;
  /** How many received frames wait behind the one in hand. */
  readonly waiting: () => number;
}

/**
 * Asks the catalog.
 * @param at the place of the change that is to be decoded by it; undefined where none is in hand
 * @throws TransientError
 */
export async function describeRelation(
  relation: Relation,
  at: bigint | undefined,
  options: DescribeOptions,
): Promise<Described> {
  const { source, session, schemas, rules, log, composites: states, waiting } = options;
  const all = await describeTable(session, relation.oid, relation.columns);
  const composites = [...all.composites.values()];
  if (composites.length > 0) await states.observe(waiting(), composites);
  const doubtful = [...all.composites].flatMap(([type, state]) =>
    at === undefined || states.isState(state, at) ? [] : [type],
  );
  const found = { ...all, types: new Map([...all.types].filter(([oid]) => !doubtful.includes(oid))) };
  const primaryKey = await keyInLog(relation, found, schemas);
  const description = { ...found, primaryKey };
  await learnPartitions(relation, options);
  const bound = rules.for(relation, description.columns);
  if (bound !== undefined && bound.doubtful.length > 0) {
    const table = `${relation.namespace}.${relation.name}`;
    const fields = { source, code: "TABLE_COLUMN_UNKNOWN" };
    const text = `the log describes ${table} as it was: ${bound.doubtful.join(", ")} may be a hidden column's former name, and is hidden`;
    log.warn("source_table_left_out", fields, text);
  }
  const schema = collectionSchema(relation, description, bound ?? NO_RULES);
  return { description, version: { schema, uri: undefined }, composites, isDoubtful: doubtful.length > 0 };
}

/**
 * Under full identity the log does not say the key. Its columns by the names that the log has: first by their numbers, for they
 * may have been renamed since; then by their names, for they may have been retyped; else as the stream was told last.
 */
async function keyInLog(
  { oid, identity, columns }: Relation,
  { primaryKey, columns: catalog }: TableDescription,
  schemas: ToldSchemas,
): Promise<readonly string[]> {
  if (identity !== "f") return primaryKey;
  const names = columns.map(({ name }) => name);
  const numbers = columnNumbers(columns, catalog);
  const byNumber = primaryKey.flatMap((name) => {
    const number = catalog.find((column) => column.name === name)?.attnum;
    const index = number === undefined ? -1 : numbers.indexOf(number);
    return index < 0 ? [] : [names[index] as string];
  });
  if (byNumber.length === primaryKey.length && catalog.length > 0) return byNumber;
  if (primaryKey.length > 0 && primaryKey.every((name) => names.includes(name))) return primaryKey;
  const told = (await schemas.newest(String(oid)))?.key ?? [];
  return told.every((name) => names.includes(name)) ? told : [];
}

/** A table with something hidden may have been attached to another one. */
async function learnPartitions(
  { oid, namespace, name }: Relation,
  { session, rules, items, version }: Pick<DescribeOptions, "session" | "rules" | "items" | "version">,
): Promise<void> {
  if (rules.of(namespace, name) === undefined || items.every(({ options }) => options === undefined)) return;
  const tree = (await readTrees(session, [String(oid)], version)).get(String(oid)) ?? [];
  const partitions = tree.filter(({ level }) => level > 0);
  for (const partition of ruledTables(items, partitions, rules.hiding)) {
    const named = { oid: Number(partition.oid), namespace: partition.schema, name: partition.name };
    rules.learnPartition(oid, named, partition.columns);
  }
}
