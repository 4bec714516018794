// The publication: made when it is missing, kept at the configured tables when it is ours, only checked when it is not.

import { ConfigError, HistoryLostError, MillraceError, toError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import {
  ALL_OPS,
  addLine,
  addTable,
  createPublication,
  GENERATED,
  LOOSE_FILTER,
  lacksFilters,
  publicationLines,
  publishedTable,
  refuseLooseFilter,
} from "../check/publication-sql.ts";
import { publishesGenerated } from "../check/refused-writes.ts";
import { sqlState } from "../client/errors.ts";
import type { Session } from "../client/session.ts";
import { quoteIdentifier, quoteLiteral } from "../client/sql.ts";
import { type Published, publicationMark } from "../facts/publication.ts";
import type { SourceTable } from "../facts/tables.ts";

/** Tables are told apart by their oids: one may have been renamed, and its name given to another, since it was looked at. */
type NumberedTable = SourceTable & { readonly oid: string };

export interface PublicationOptions {
  readonly source: SourceId;
  readonly name: string;
  readonly tables: readonly NumberedTable[];
  /** Tables that are not added, and not dropped when they are in it. */
  readonly kept: readonly NumberedTable[];
  /** What it published when it was looked last: an option that it lost since stays lost, until that is on record. */
  readonly known?: Pick<Published, "ops" | "viaRoot"> | undefined;
  /** The server's version, as `server_version_num`. */
  readonly version: number;
  readonly log: Logger;
}

/**
 * @param existing as it is now; undefined where there is none
 * @param mayCreate false once a slot was made: rows written without the publication would be missing in silence
 * @throws HistoryLostError PUBLICATION_MISSING; ConfigError PUBLICATION_MISSING (and it may not be made),
 *   PUBLICATION_LACKS_TABLES, ROW_FILTER_REFUSED
 */
export async function ensurePublication(
  session: Session,
  options: PublicationOptions,
  existing: Published | undefined,
  mayCreate: boolean,
): Promise<void> {
  if (existing !== undefined) await adjustPublication(session, options, existing, true);
  else if (mayCreate) await create(session, options);
  else throw publicationGone(options.name);
}

/** The error for a publication that is gone while its slot exists. */
export function publicationGone(name: string): HistoryLostError {
  return new HistoryLostError("PUBLICATION_MISSING", `the publication ${name} was dropped`, {
    hint: "Rows written since then are not in the log's stream and cannot be had again: run --adopt makes it anew where this role may, starts over with a new slot and records the gap.",
  });
}

/** All or nothing: what a refused start has made is taken back. */
async function create(session: Session, options: PublicationOptions): Promise<void> {
  const { source, name, tables, version, log } = options;
  checkFilters(tables, version);
  const lines = publicationLines(name, tables, version);
  const comment = `COMMENT ON PUBLICATION ${quoteIdentifier(name)} IS ${quoteLiteral(publicationMark(source))}`;
  try {
    await change(session, [createPublication(name, version), comment]);
    await each(tables.map((table) => () => change(session, [addTable(name, table)], { name, table })));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    await session.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`);
    if (!isRefused(error)) throw error;
    throw new ConfigError("PUBLICATION_MISSING", `the publication ${name} is missing, and this role may not make it`, {
      hint: `Let the owner of the tables run: ${lines.join(" ")}`,
      cause: error,
    });
  }
  log.info("source_publication_changed", { source, publication: name, tables: tables.length }, "publication created");
}

/**
 * Brings it to the tables where it is ours: each table in a transaction of its own, so that no lock is held while another is
 * waited for. What is in the way of one does not hold up the others.
 * @param refilter also sets row filters that are there already: their words may have changed, and cannot be compared
 * @returns whether something was changed
 * @throws ConfigError PUBLICATION_LACKS_TABLES, ROW_FILTER_REFUSED; TransientError SOURCE_LOCKED; the rest is done by then
 */
export async function adjustPublication(
  session: Session,
  options: PublicationOptions,
  existing: Published,
  refilter: boolean,
): Promise<boolean> {
  const { source, name, tables, kept, known, version, log } = options;
  checkFilters(tables, version);
  const { ours, all } = existing;
  // One for all tables has roots by way of their partitions; see `viaRoot`.
  const members = new Map(existing.tables.map((table) => [table.oid, table]));
  const missing = tables.filter(({ oid, partitioned }) => !members.has(oid) && !(all && partitioned));
  const staying = new Set([...tables, ...kept].map(({ oid }) => oid));
  const extra = ours ? existing.tables.filter(({ oid }) => !staying.has(oid)) : [];
  const unfiltered = tables.filter(({ oid, where }) => where.length > 0 && members.get(oid)?.filtered !== true);
  const unlike = tables.filter((table) => {
    const now = members.get(table.oid);
    if (now === undefined || !ours) return false;
    return refilter ? table.where.length > 0 || now.filtered : table.where.length > 0 && !now.filtered;
  });
  const set = {
    // Else rows of partitions would come under the partitions' own names.
    viaRoot: !existing.viaRoot && known?.viaRoot !== true && tables.some((table) => table.partitioned),
    generated: ours && publishesGenerated(version) && !existing.generated,
    // Not while it has a table whose writes would then fail.
    ops:
      ours &&
      existing.ops.length < ALL_OPS.length &&
      known?.ops.every((op) => existing.ops.includes(op)) !== false &&
      !kept.some(({ oid }) => members.has(oid)),
  };
  const optioned = set.viaRoot || set.generated || set.ops;
  if (!ours && unfiltered.length > 0) throw filterMissing(name, unfiltered);
  const changed = missing.length + extra.length + unfiltered.length > 0 || optioned;
  if (!changed && unlike.length === 0) return false;
  const needed = { name, missing, set: { ...set, generated: needsGenerated(missing, existing, version) } };
  if (!ours) throw lacking(needed);
  // In this order: options may break the writes of tables that go, and are needed by those that come.
  const optionStep = optioned ? [() => change(session, [setOptions(name, set)])] : [];
  try {
    await each(extra.map((table) => () => change(session, [dropTable(name, table), refuseAnother(table)])));
    await each(optionStep);
    await each([
      ...unlike.map((table) => () => change(session, [dropTable(name, table), addTable(name, table)], { name, table })),
      ...missing.map((table) => () => change(session, [addTable(name, table)], { name, table })),
    ]);
  } catch (error) {
    throw isRefused(error) ? lacking(needed, error) : error;
  }
  const fields = { source, publication: name, added: missing.map(nameOf), dropped: extra.map(nameOf) };
  if (changed) log.info("source_publication_changed", fields, "publication altered");
  return true;
}

/** Runs all, and then fails with the first that failed; what is no matter of one table ends it at once. */
async function each(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    await step().catch((error: unknown) => {
      const ofTable =
        error instanceof MillraceError && (error instanceof ConfigError || error.code === "SOURCE_LOCKED");
      if (!ofTable) throw error;
      failures.push(error);
    });
  }
  if (failures.length > 0) throw failures.find((error) => error instanceof ConfigError) ?? failures[0];
}

/** A lock is waited for well below the second after which the application's own wait may end in a deadlock's death. */
const LOCK_MS = 300;

/** One transaction, with no filter of the table that would break the application's writes. */
async function change(
  session: Session,
  statements: readonly string[],
  filtered?: { readonly name: string; readonly table: SourceTable },
): Promise<void> {
  const where = filtered !== undefined && filtered.table.where.length > 0;
  const guard = where ? [refuseLooseFilter(filtered.name, filtered.table)] : [];
  try {
    await session.query([`SET LOCAL lock_timeout = ${LOCK_MS}`, ...statements, ...guard].join("; "));
  } catch (error) {
    const { cause, message } = toError(error);
    const state = sqlState(cause) ?? "";
    if (state === LOOSE_FILTER) throw filterLoose(message);
    // What a condition can be wrong in: syntax, names, types, functions that are not immutable.
    if (where && /^(42(?!501)|0A|22)/.test(state)) throw filterRefused(message, error);
    throw error;
  }
}

function dropTable(name: string, table: Pick<SourceTable, "schema" | "name">): string {
  return `ALTER PUBLICATION ${quoteIdentifier(name)} DROP TABLE ${publishedTable(table)}`;
}

/**
 * Undoes the transaction that it stands in when the name of a table that was taken out belongs to another table by now, with the
 * SQLSTATE of a table that is gone. Behind the statement: its lock keeps the name from then on.
 */
function refuseAnother({ oid, schema, name }: Pick<NumberedTable, "oid" | "schema" | "name">): string {
  return `DO ${quoteLiteral(`BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = ${Number(oid)} AND n.nspname = ${quoteLiteral(schema)} AND c.relname = ${quoteLiteral(name)}) THEN
      RAISE EXCEPTION 'the table to be taken out of the publication was renamed or dropped' USING ERRCODE = '42P01';
    END IF; END`)}`;
}

function setOptions(name: string, options: Readonly<Record<"viaRoot" | "generated" | "ops", boolean>>): string {
  const list = [
    ...(options.viaRoot ? ["publish_via_partition_root = true"] : []),
    ...(options.generated ? [GENERATED] : []),
    ...(options.ops ? [`publish = '${ALL_OPS.join(", ")}'`] : []),
  ];
  return `ALTER PUBLICATION ${quoteIdentifier(name)} SET (${list.join(", ")})`;
}

/** Whether the writes of a table that is to come would be refused without. */
function needsGenerated(missing: readonly SourceTable[], { generated }: Published, version: number): boolean {
  return publishesGenerated(version) && !generated && missing.some((table) => table.storedIdentity === true);
}

/** @throws ConfigError ROW_FILTER_REFUSED */
function checkFilters(tables: readonly SourceTable[], version: number): void {
  if (!lacksFilters(tables, version)) return;
  throw new ConfigError("ROW_FILTER_REFUSED", "row filters need Postgres 15", {
    hint: "Take where out of tables, and filter in the automation.",
  });
}

function filterLoose(columns: string): ConfigError {
  return new ConfigError(
    "ROW_FILTER_REFUSED",
    `a row filter on ${columns} would make the application's own UPDATE and DELETE fail: no part of the replica identity`,
    {
      hint: "Let where read columns of the primary key alone, or set REPLICA IDENTITY FULL on the table (one without partitions), or take where out of tables.",
    },
  );
}

function filterRefused(message: string, cause: unknown): ConfigError {
  return new ConfigError("ROW_FILTER_REFUSED", `Postgres does not take a condition of where: ${message}`, {
    hint: "It may use the table's own columns, constants, and immutable functions and operators that are built in.",
    cause,
  });
}

function filterMissing(name: string, tables: readonly SourceTable[]): ConfigError {
  return new ConfigError(
    "ROW_FILTER_REFUSED",
    `the publication ${name} has no row filter for ${tables.map(nameOf).join(", ")}, and is not Millrace's to change`,
    {
      hint: "Let its owner give the tables the condition (ALTER PUBLICATION ... SET TABLE ... WHERE ...), or take where out of tables.",
    },
  );
}

function isRefused(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "PERMISSION_MISSING";
}

interface Needed {
  readonly name: string;
  readonly missing: readonly SourceTable[];
  readonly set: Parameters<typeof setOptions>[1];
}

function lacking({ name, missing, set }: Needed, cause?: unknown): ConfigError {
  const what = missing.map(nameOf).join(", ") || "what the configured tables need";
  const optioned = set.viaRoot || set.generated || set.ops;
  const lines = [...(optioned ? [`${setOptions(name, set)};`] : []), ...missing.map((table) => addLine(name, table))];
  return new ConfigError("PUBLICATION_LACKS_TABLES", `the publication ${name} lacks ${what}`, {
    hint: `It is not Millrace's to change. Let the owner of the tables run: ${lines.join(" ")}`,
    cause,
  });
}

function nameOf({ schema, name }: Pick<SourceTable, "schema" | "name">): string {
  return `${schema}.${name}`;
}
