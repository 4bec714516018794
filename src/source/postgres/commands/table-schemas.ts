// The tables of a source as the catalog has them now, described as their events look: what types are made from.

import type { CollectionSchema } from "../../../event/collection-schema.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { matchesNothing } from "../check/match-tables.ts";
import { publishesGenerated } from "../check/refused-writes.ts";
import { describeTable } from "../client/catalog.ts";
import { clientConfig, identify, Session } from "../client/session.ts";
import { collectionSchema } from "../decode/collection-schema.ts";
import type { Relation } from "../decode/table.ts";
import { namesOf } from "../facts/names.ts";
import { readPublished } from "../facts/publication.ts";
import { findTables } from "../facts/tables.ts";
import type { PostgresConfig } from "../options/config.ts";
import { NO_RULES } from "../options/table-rules.ts";

/** A value that is never longer than what points to one that is stored apart, 24 bytes, is never stored apart. */
const toasted = `a.attlen = -1 AND a.attstorage <> 'p' AND (c.reltoastrelid <> 0 OR c.relkind = 'p')
  AND NOT (a.atttypid = 'numeric'::regtype AND a.atttypmod >= 0 AND ((a.atttypmod - 4) >> 16) <= 28)
  AND NOT (a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod BETWEEN 0 AND 9)`;

/** As the log would describe it: with its stored generated columns where the publication has them, never with virtual ones. */
const relation = `
  SELECT c.relreplident AS identity, coalesce(json_agg(a.attname) FILTER (WHERE ${toasted}), '[]') AS toasts,
    coalesce(json_agg(a.attname) FILTER (WHERE a.attndims > 1 OR t.typndims > 1), '[]') AS nested, coalesce(json_agg(json_build_object(
      'name', a.attname, 'type', a.atttypid::int8, 'typmod', a.atttypmod, 'identity', a.attnum = ANY (k.columns)
    ) ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL), '[]') AS columns
  FROM pg_class c
  LEFT JOIN LATERAL (
    SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns FROM pg_index i
    WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
  ) k ON true
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND (a.attgenerated = '' OR a.attgenerated = 's' AND $2)
  LEFT JOIN pg_type t ON t.oid = a.atttypid
  WHERE c.oid = $1::oid GROUP BY c.oid, k.columns`;

type Found = Pick<Relation, "identity" | "columns"> & {
  readonly toasts: readonly string[];
  readonly nested: readonly string[];
};

/** By their names. @throws ConfigError TABLES_MATCH_NOTHING; TransientError */
export async function tableSchemas(id: SourceId, config: PostgresConfig): Promise<readonly CollectionSchema[]> {
  await using session = new Session(clientConfig(id, config.url));
  const { tables, unmatched } = await findTables(session, config);
  const [pattern] = unmatched;
  if (pattern !== undefined) throw matchesNothing(pattern);
  const generated = await hasGenerated(session, id, config);
  const schemas: CollectionSchema[] = [];
  for (const { oid, schema: namespace, name } of tables) {
    const [found] = await session.query<Found>(relation, [oid, generated]);
    if (found === undefined) continue; // dropped meanwhile
    const description = await describeTable(session, Number(oid), found.columns);
    const table: Relation = { ...found, oid: Number(oid), namespace, name };
    const rules = config.rulesOf(namespace, name) ?? NO_RULES;
    const marked = { toasts: new Set(found.toasts), nested: new Set(found.nested) };
    schemas.push(collectionSchema(table, description, rules, { labels: true, ...marked }));
  }
  return schemas;
}

/** Whether events have stored generated columns, or will once the worker has made its publication. */
async function hasGenerated(session: Session, id: SourceId, config: PostgresConfig): Promise<boolean> {
  const published = await readPublished(session, id, namesOf(id, config).publication, []);
  if (published !== undefined && !published.ours) return published.generated;
  return publishesGenerated((await identify(session)).version);
}
