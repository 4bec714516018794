// The publication: made when it is missing, kept at the configured tables when it is ours, only checked when it is not.

import { ConfigError, HistoryLostError, MillraceError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Session } from "./session.ts";
import { quoteIdentifier, quoteLiteral, quoteTable } from "./sql.ts";
import type { SourceTable } from "./tables.ts";

export interface PublicationOptions {
  readonly source: SourceId;
  readonly name: string;
  readonly tables: readonly SourceTable[];
  /** False once a slot was made: rows written without the publication would be missing in silence. */
  readonly mayCreate: boolean;
  readonly log: Logger;
}

interface Existing {
  readonly ours: boolean;
  readonly all: boolean;
  readonly viaRoot: boolean;
  readonly tables: readonly SourceTable[];
}

/**
 * @throws HistoryLostError PUBLICATION_MISSING; ConfigError PUBLICATION_MISSING (and it may not be made),
 *   PUBLICATION_LACKS_TABLES
 */
export async function ensurePublication(session: Session, options: PublicationOptions): Promise<void> {
  const existing = await findPublication(session, options);
  if (existing === undefined) await create(session, options);
  else await adjust(session, options, existing);
}

/** The error for a publication that is gone while its slot exists. */
export function publicationGone(name: string): HistoryLostError {
  return new HistoryLostError("PUBLICATION_MISSING", `the publication ${name} was dropped`, {
    hint: "Rows written since then are not in the log's stream and cannot be had again: run --adopt makes it anew where this role may, starts over with a new slot and records the gap.",
  });
}

async function create(session: Session, { source, name, tables, mayCreate, log }: PublicationOptions): Promise<void> {
  if (!mayCreate) throw publicationGone(name);
  const statement = createPublication(name, tables);
  const comment = `COMMENT ON PUBLICATION ${quoteIdentifier(name)} IS ${quoteLiteral(publicationMark(source))}`;
  await session.query(`${statement}; ${comment}`).catch((error: unknown) => {
    if (!isRefused(error)) throw error;
    throw new ConfigError("PUBLICATION_MISSING", `the publication ${name} is missing, and this role may not make it`, {
      hint: `Let the owner of the tables run: ${statement};`,
      cause: error,
    });
  });
  log.info("source_publication_changed", { source, publication: name, tables: tables.length }, "publication created");
}

async function adjust(session: Session, options: PublicationOptions, existing: Existing): Promise<void> {
  const { source, name, tables, log } = options;
  const missing = existing.all ? [] : tables.filter((table) => !includes(existing.tables, table));
  const extra = existing.ours ? existing.tables.filter((table) => !includes(tables, table)) : [];
  // Else rows of partitions would come under the partitions' own names.
  const leaves = !existing.viaRoot && tables.some((table) => table.partitioned);
  const statements = [
    ...(missing.length > 0 ? [alter(name, "ADD", missing)] : []),
    ...(extra.length > 0 ? [alter(name, "DROP", extra)] : []),
    ...(leaves ? [`ALTER PUBLICATION ${quoteIdentifier(name)} SET (publish_via_partition_root = true)`] : []),
  ].join("; ");
  if (statements === "") return;
  if (!existing.ours) throw lacking(name, missing, statements);
  await session.query(statements).catch((error: unknown) => {
    throw isRefused(error) ? lacking(name, missing, statements, error) : error;
  });
  const fields = { source, publication: name, added: missing.length, dropped: extra.length };
  log.info("source_publication_changed", fields, "publication altered");
}

function isRefused(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "PERMISSION_MISSING";
}

function lacking(name: string, missing: readonly SourceTable[], statements: string, cause?: unknown): ConfigError {
  const what = missing.map((table) => `${table.schema}.${table.name}`).join(", ") || "what the configured tables need";
  return new ConfigError("PUBLICATION_LACKS_TABLES", `the publication ${name} lacks ${what}`, {
    hint: `It is not Millrace's to change. Let the owner of the tables run: ${statements};`,
    cause,
  });
}

/** The statement that makes it, for the worker and for a person. */
export function createPublication(name: string, tables: readonly SourceTable[]): string {
  return `CREATE PUBLICATION ${quoteIdentifier(name)} FOR TABLE ${tables.map(quoteTable).join(", ")} WITH (publish_via_partition_root = true)`;
}

/** Only one that carries our mark, so that nobody's own publication is ever altered. */
export function publicationMark(source: SourceId): string {
  return `made by millrace for the source ${source}`;
}

async function findPublication(session: Session, options: PublicationOptions): Promise<Existing | undefined> {
  const [row] = await session.query<Omit<Existing, "tables"> & { tables: readonly (readonly [string, string])[] }>(
    `SELECT coalesce(obj_description(p.oid, 'pg_publication') = $2, false) AS ours,
       p.puballtables AS all,
       p.pubviaroot AS "viaRoot",
       coalesce((
         SELECT json_agg(json_build_array(n.nspname, c.relname))
         FROM (
           SELECT r.prrelid AS relid FROM pg_publication_rel r WHERE r.prpubid = p.oid
           UNION
           SELECT (quote_ident(t.schemaname) || '.' || quote_ident(t.tablename))::regclass
           FROM pg_publication_tables t WHERE t.pubname = p.pubname
         ) published
         JOIN pg_class c ON c.oid = published.relid
         JOIN pg_namespace n ON n.oid = c.relnamespace
       ), '[]') AS tables
     FROM pg_publication p WHERE p.pubname = $1`,
    [options.name, publicationMark(options.source)],
  );
  if (row === undefined) return undefined;
  return { ...row, tables: row.tables.map(([schema, table]) => ({ schema, name: table, partitioned: false })) };
}

function includes(tables: readonly SourceTable[], wanted: SourceTable): boolean {
  return tables.some((table) => table.schema === wanted.schema && table.name === wanted.name);
}

function alter(name: string, verb: "ADD" | "DROP", tables: readonly SourceTable[]): string {
  return `ALTER PUBLICATION ${quoteIdentifier(name)} ${verb} TABLE ${tables.map(quoteTable).join(", ")}`;
}
