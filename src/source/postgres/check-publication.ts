// What `check` says of the publication: that it is there, covers the tables, and publishes all of what happens to them.

import type { SourceId } from "../../event/source-id.ts";
import type { Finding } from "../../telemetry/finding.ts";
import type { TableFacts } from "./check-tables.ts";
import { createPublication, publicationMark } from "./publication-sql.ts";
import type { Session } from "./session.ts";
import { quoteIdentifier, quoteLiteral, quoteTable } from "./sql.ts";
import type { FoundTable } from "./tables.ts";

export interface PublicationFacts {
  readonly name: string;
  readonly exists: boolean;
  /** Made or altered since the place in the log where the source's slot stands, which nobody reads. */
  readonly youngerThanSlot: boolean;
  /** Whether the worker's role may make it, or change it: then the worker does so by itself. */
  readonly mayMake: boolean;
  readonly ops: readonly string[];
  readonly viaRoot: boolean;
  readonly generated: boolean;
  readonly all: boolean;
  readonly tables: readonly PublishedTable[];
}

export interface PublishedTable {
  readonly schema: string;
  readonly name: string;
  /** Null: all of them. */
  readonly columns: readonly string[] | null;
  readonly filter: string | null;
  /** Those that the filter reads. */
  readonly filterColumns: readonly string[];
}

const OPS: readonly string[] = ["insert", "update", "delete", "truncate"];

export async function readPublication(
  session: Session,
  id: SourceId,
  name: string,
  tables: readonly Pick<FoundTable, "oid">[],
  slot: string,
): Promise<PublicationFacts> {
  const [row] = await session.query<Omit<PublicationFacts, "name">>(facts, [
    name,
    publicationMark(id),
    tables.map(({ oid }) => oid),
    slot,
  ]);
  return { name, ...(row as Omit<PublicationFacts, "name">) };
}

/**
 * Newer columns by way of JSON, and columns of a filter out of its tree: both work from 14 on. Tables by their numbers and
 * joins: looking one up by its name takes a right on its schema.
 */
const facts = `
  SELECT p.oid IS NOT NULL AS exists,
    NOT pg_is_in_recovery() AND (SELECT bool_and(pg_has_role(c.relowner, 'USAGE')) FROM pg_class c WHERE c.oid = ANY ($3::text[]::oid[]))
      AND CASE WHEN p.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        ELSE pg_has_role(p.pubowner, 'USAGE') AND coalesce(obj_description(p.oid, 'pg_publication') = $2, false) END AS "mayMake",
    ARRAY_REMOVE(ARRAY[CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
      CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END], NULL) AS ops,
    coalesce(pubviaroot, false) AS "viaRoot",
    coalesce((SELECT NOT active AND age(p.xmin) <= age(catalog_xmin) FROM pg_replication_slots WHERE slot_name = $4), false)
      AS "youngerThanSlot",
    coalesce(to_jsonb(p)->>'pubgencols' = 's', false) AS generated,
    coalesce(puballtables, false) AS all,
    coalesce((
      SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname,
        'columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
          WHERE a.attrelid = c.oid AND to_jsonb(r)->'prattrs' @> to_jsonb(a.attnum)),
        'filter', (SELECT to_jsonb(t)->>'rowfilter' FROM pg_publication_tables t
          WHERE t.pubname = p.pubname AND t.schemaname = n.nspname AND t.tablename = c.relname),
        'filterColumns', ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum IN (
          SELECT m[1]::int FROM regexp_matches(to_jsonb(r)->>'prqual', ':varattno (\\d+)', 'g') m))))
      FROM (
        SELECT r.prrelid AS relid FROM pg_publication_rel r WHERE r.prpubid = p.oid
        UNION
        SELECT c.oid FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename WHERE t.pubname = p.pubname
      ) published
      JOIN pg_class c ON c.oid = published.relid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
    ), '[]') AS tables
  FROM (SELECT) one LEFT JOIN pg_publication p ON p.pubname = $1`;

/** @param tables the configured ones, with the facts of `readTables` */
export function publicationFindings(
  publication: PublicationFacts,
  tables: readonly TableFacts[],
  server: { readonly version: number; readonly slotExists: boolean; readonly slot: string },
): readonly Finding[] {
  if (!publication.exists) return [missingFinding(publication, tables, server)];
  const findings = [
    coverageFinding(publication, tables),
    opsFinding(publication),
    rootFinding(publication, tables),
    youngerFinding(publication, server.slot),
    ...tables.flatMap((table) => {
      const published = publication.tables.find(({ schema, name }) => schema === table.schema && name === table.name);
      return published === undefined ? [] : publishedFindings(publication, published, table, server.version);
    }),
  ].filter((finding) => finding !== undefined);
  if (findings.length > 0) return findings;
  const message = "it covers all configured tables and everything that happens to them";
  return [{ level: "ok", code: "PUBLICATION", subject: subjectOf(publication), message }];
}

function subjectOf({ name }: PublicationFacts): string {
  return `publication ${name}`;
}

function missingFinding(
  publication: PublicationFacts,
  tables: readonly TableFacts[],
  { slotExists, version }: { readonly slotExists: boolean; readonly version: number },
): Finding {
  const finding = { code: "PUBLICATION_MISSING", subject: subjectOf(publication) };
  if (slotExists) {
    return {
      ...finding,
      level: "fail",
      message: "it is gone while its slot exists: rows written since are not in the stream and cannot be had again",
      fix: "millrace run --adopt starts over with a new slot, makes it anew where the role may, and records the gap.",
    };
  }
  if (publication.mayMake) return { ...finding, level: "ok", message: "the worker makes it at its first start" };
  const fix =
    tables.length === 0 ? "See the tables above." : `${createPublication(publication.name, tables, version)};`;
  return { ...finding, level: "fail", message: "it is missing, and the worker's role may not make it", fix };
}

function coverageFinding(publication: PublicationFacts, tables: readonly TableFacts[]): Finding | undefined {
  const lacking = tables.filter(
    (table) => !publication.tables.some(({ schema, name }) => schema === table.schema && name === table.name),
  );
  if (publication.all || lacking.length === 0) return undefined;
  const names = lacking.map(({ schema, name }) => `${schema}.${name}`).join(", ");
  const finding = { code: "PUBLICATION_LACKS_TABLES", subject: subjectOf(publication), message: `it lacks ${names}` };
  if (publication.mayMake) return { ...finding, level: "ok", message: `${finding.message}; the worker adds them` };
  const fix = `ALTER PUBLICATION ${quoteIdentifier(publication.name)} ADD TABLE ${lacking.map(quoteTable).join(", ")};`;
  return { ...finding, level: "fail", fix };
}

function opsFinding(publication: PublicationFacts): Finding | undefined {
  const lacking = OPS.filter((op) => !publication.ops.includes(op));
  if (lacking.length === 0) return undefined;
  return {
    level: "warn",
    code: "PUBLICATION_LACKS_OPS",
    subject: subjectOf(publication),
    message: `it does not publish ${lacking.join(", ")}: no event will tell of them`,
    fix: `ALTER PUBLICATION ${quoteIdentifier(publication.name)} SET (publish = '${OPS.join(", ")}');`,
  };
}

function rootFinding(publication: PublicationFacts, tables: readonly TableFacts[]): Finding | undefined {
  if (publication.viaRoot || publication.mayMake || !tables.some((table) => table.partitioned)) return undefined;
  return {
    level: "fail",
    code: "PUBLICATION_OF_PARTITIONS",
    subject: subjectOf(publication),
    message: "rows of partitioned tables would come under the names of their partitions",
    fix: `ALTER PUBLICATION ${quoteIdentifier(publication.name)} SET (publish_via_partition_root = true);`,
  };
}

/** Its rows are found as the catalog was where the slot stands: there a later one does not exist. */
function youngerFinding(publication: PublicationFacts, slot: string): Finding | undefined {
  if (!publication.youngerThanSlot) return undefined;
  return {
    level: "warn",
    code: "PUBLICATION_YOUNGER",
    subject: subjectOf(publication),
    message: `it was made or altered after the place where the slot ${slot} stands: made anew, it cannot be read from there`,
    fix: `SELECT pg_drop_replication_slot(${quoteLiteral(slot).trim()}); -- if it was dropped and made anew; then millrace run --adopt, which records the gap`,
  };
}

function publishedFindings(
  publication: PublicationFacts,
  published: PublishedTable,
  table: TableFacts,
  version: number,
): readonly Finding[] {
  const subject = `table ${table.schema}.${table.name}`;
  const findings: Finding[] = [];
  const strict = publication.ops.includes("update") || publication.ops.includes("delete");
  const { columns, filter } = published;
  const unlisted = table.identity.filter((column) => columns?.includes(column) === false);
  if (strict && unlisted.length > 0) {
    findings.push({
      level: "fail",
      code: "COLUMN_LIST_LACKS_KEY",
      subject,
      message: `the application's UPDATE and DELETE fail: the publication's column list lacks ${unlisted.join(", ")}`,
      fix: publishAgain(publication, table, [...(columns ?? []), ...unlisted], filter),
    });
  }
  const loose = published.filterColumns.filter((column) => !table.identity.includes(column));
  if (strict && loose.length > 0) {
    findings.push({
      level: "fail",
      code: "ROW_FILTER_OFF_KEY",
      subject,
      message: `the application's UPDATE and DELETE fail: the publication's row filter reads ${loose.join(", ")}, no part of the replica identity`,
      fix:
        columns === null && !table.partitioned
          ? `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL; -- or publish the table without its filter`
          : publishAgain(publication, table, columns, null),
    });
  }
  const dropped = table.storedGenerated.filter((column) => columns?.includes(column) !== true);
  if (columns === null && !publication.generated && dropped.length > 0) {
    findings.push({
      level: "warn",
      code: "GENERATED_LEFT_OUT",
      subject,
      message: `the publication leaves generated columns out of the events: ${dropped.join(", ")}`,
      fix:
        version >= 180_000
          ? `ALTER PUBLICATION ${quoteIdentifier(publication.name)} SET (publish_generated_columns = stored);`
          : "Compute them in the handler: before Postgres 18 they are not in the log's stream.",
    });
  }
  return findings;
}

/** In one transaction: rows written between the two would be missing from the stream. */
function publishAgain(
  publication: PublicationFacts,
  table: TableFacts,
  columns: readonly string[] | null,
  filter: string | null,
): string {
  const alter = `ALTER PUBLICATION ${quoteIdentifier(publication.name)}`;
  const list = columns === null ? "" : ` (${columns.map(quoteIdentifier).join(", ")})`;
  const where = filter === null ? "" : ` WHERE (${filter})`;
  return `BEGIN; ${alter} DROP TABLE ${quoteTable(table)}; ${alter} ADD TABLE ${quoteTable(table)}${list}${where}; COMMIT;`;
}
