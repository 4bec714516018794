// Whether the tables that were found are those that can be read, and which of them cannot be told apart. Pure.

import { ConfigError } from "../../../errors.ts";
import { quoteTable } from "../client/sql.ts";
import type { FoundTables, TableFacts, TableSelection } from "../facts/tables.ts";
import type { RuleBook } from "../options/rule-book.ts";
import type { TablePattern } from "../options/table-pattern.ts";
import { checkRules } from "./check-rules.ts";

export interface MatchedTables {
  /** Tables and roots of partitioned tables; a partition belongs to its root. */
  readonly tables: readonly TableFacts[];
  /** Such a table in a publication would make the application's own UPDATE and DELETE fail. */
  readonly anonymous: readonly TableFacts[];
  /** Patterns that name no table, where that is no reason to refuse. */
  readonly gone: readonly TablePattern[];
  readonly rules: RuleBook;
}

/**
 * @param anyIdentity the publication publishes neither updates nor deletes: then none is anonymous
 * @param started the source has been read before: a table that is gone since does not stop all others
 * @throws ConfigError TABLES_MATCH_NOTHING, TABLE_OPTIONS_IGNORED, TABLE_EXCLUSION_IGNORED, TABLE_COLUMN_UNKNOWN,
 *   TABLE_KEY_HIDDEN
 */
export function matchTables(
  { tables, unmatched }: FoundTables<TableFacts>,
  selection: TableSelection,
  anyIdentity: boolean,
  started: boolean,
): MatchedTables {
  const gone = started ? unmatched.filter(({ outbox }) => outbox !== true) : [];
  const pattern = unmatched.find((one) => !gone.includes(one));
  if (pattern !== undefined) throw matchesNothing(pattern);
  return {
    rules: checkRules(selection, tables),
    tables: tables.filter((table) => table.identified || anyIdentity),
    anonymous: tables.filter((table) => !table.identified && !anyIdentity),
    gone,
  };
}

export function matchesNothing(pattern: TablePattern): ConfigError {
  if (pattern.outbox) {
    return new ConfigError("OUTBOX_MISSING", `there is no outbox table ${pattern.text}`, {
      hint: "Let the owner of the database run what `millrace sql outbox` prints, or set the option outbox.table.",
    });
  }
  return new ConfigError("TABLES_MATCH_NOTHING", `no table matches ${JSON.stringify(pattern.text)}`, {
    hint: "Create the table first, or correct the pattern; it must be spelt as in the database, upper and lower case.",
  });
}

/** @param tables at least one */
export function withoutIdentity(tables: readonly TableFacts[]): ConfigError {
  const names = tables.map((table) => `${table.schema}.${table.name}`).join(", ");
  const [first] = tables as readonly [TableFacts];
  const table = quoteTable(first);
  const way =
    first.own.replident !== "d" && first.own.primaryKey.length > 0
      ? "REPLICA IDENTITY DEFAULT"
      : "ADD PRIMARY KEY (...)";
  const message = `rows of ${names} cannot be told apart: no replica identity that can be published`;
  return new ConfigError("TABLE_WITHOUT_IDENTITY", message, {
    hint: `For each what \`millrace check\` prints: ALTER TABLE ${table} ${way}, or REPLICA IDENTITY FULL (not with virtual generated columns), or leave it out with "!${first.schema}.${first.name}" in tables.`,
  });
}
