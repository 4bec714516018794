// What `check` says of each table: whether its rows can be told apart, what their events lack, and who may see them.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { type CatalogTable, type Identity, identityOf } from "../facts/catalog-tables.ts";
import type { CheckedTable, UnloggedTable } from "../facts/checked-tables.ts";
import type { TableFacts } from "../facts/tables.ts";
import { partitionFindings } from "./check-partitions.ts";
import { serves } from "./refused-writes.ts";

export function tableFindings(table: CheckedTable): readonly Finding[] {
  const { fail, ok, warn } = about(`table ${table.schema}.${table.name}`);
  const quoted = quoteTable(table);
  const identity = identityOf(table.own);
  const full = identity === "full";
  const { deferrableKey, virtual } = table.own;
  const findings: Finding[] = [];
  if (!table.identified) {
    findings.push(
      fail(
        "TABLE_WITHOUT_IDENTITY",
        anonymousMessage(table),
        table.anonymous.map((one) => identify(one, table.version)).join("\n"),
      ),
    );
  } else if (table.primaryKey.length === 0 && full) {
    findings.push(
      warn(
        "TABLE_WITHOUT_KEY",
        "it has replica identity FULL and no primary key: the key of its events is null",
        `Give it a primary key: ALTER TABLE ${quoted} ADD PRIMARY KEY (...).`,
      ),
    );
  }
  // Under another identity than FULL two rows never have one key.
  if (full && deferrableKey !== null) {
    findings.push(
      warn(
        "KEY_DEFERRABLE",
        `its primary key (${table.primaryKey.join(", ")}) is deferrable: when a transaction lets two rows have one key for a moment, what applies events by key may miss a row`,
        `Where the application needs no such moment: ALTER TABLE ${quoted} DROP CONSTRAINT ${quoteIdentifier(deferrableKey.name)}, ADD PRIMARY KEY (...); else let \`millrace verify --tables\` compare what a consumer keeps.`,
      ),
    );
  }
  findings.push(...partitionFindings(table));
  const apart = table.toasted.filter((column) => !identity.includes(column));
  if (!full && apart.length > 0) {
    findings.push(
      warn(
        "TOAST_LEFT_OUT",
        `values are stored apart; an update that leaves one alone comes without it, its column named in "unchanged": ${apart.join(", ")}`,
        table.written.every((one) => serves(one, "full", table.version))
          ? [table, ...table.below.filter(({ plain, replident }) => plain && replident !== "f")]
              .map((one) => `ALTER TABLE ${quoteTable(one)} REPLICA IDENTITY FULL;`)
              .join("\n")
              .concat(
                ` -- doubles the log of its updates; or toast: "reselect" for it in tables; or let handlers read "unchanged"`,
              )
          : `Set toast: "reselect" for it in tables, or let handlers read "unchanged". REPLICA IDENTITY FULL would make the application's UPDATE and DELETE fail.`,
      ),
    );
  }
  if (virtual.length > 0) {
    findings.push(
      warn(
        "GENERATED_LEFT_OUT",
        `virtual generated columns are never in the log: ${virtual.join(", ")}`,
        "Compute them in the handler, or make them STORED.",
      ),
    );
  }
  // A filter of rows is an answer to that, if not the same one.
  if (table.rowSecurity && table.where.length === 0) {
    findings.push(
      warn(
        "ROW_SECURITY_IGNORED",
        "row level security does not hold for the log: all of its rows reach the bus",
        "Limit by NATS permissions who may subscribe; or say by the option where of tables which rows may leave.",
      ),
    );
  }
  if (findings.length > 0) return findings;
  const message = full ? "FULL: the row before comes along" : `rows are told apart by ${identity.join(", ")}`;
  return [ok("TABLE", message)];
}

/** A pattern that names one promises events that never come. */
export function unloggedFindings(tables: readonly UnloggedTable[]): readonly Finding[] {
  return tables.map((table) =>
    about(`table ${table.schema}.${table.name}`).warn(
      "TABLE_NOT_LOGGED",
      `it is ${table.foreign ? "foreign" : "unlogged"}: a pattern of the source names it, and its rows are never in the log`,
      table.foreign
        ? `Leave it out with "!${table.schema}.${table.name}" in tables, and read the server that it belongs to.`
        : !table.fit
          ? `Give it a primary key, then ALTER TABLE ${quoteTable(table)} SET LOGGED. Or leave it out with "!${table.schema}.${table.name}" in tables.`
          : `ALTER TABLE ${quoteTable(table)} SET LOGGED; -- or leave it out with "!${table.schema}.${table.name}" in tables`,
    ),
  );
}

function anonymousMessage({ written }: TableFacts): string {
  const refused = "the application's UPDATE and DELETE";
  const fail = written.some(({ publishing }) => publishing.length > 0)
    ? `it is published, so ${refused} fail`
    : `once it is published, ${refused} would fail`;
  const hidden = written.filter(({ replident }) => replident === "f").flatMap(({ virtual }) => virtual);
  if (hidden.length === 0) return `its rows cannot be told apart: ${fail}`;
  return `REPLICA IDENTITY FULL cannot hold virtual generated columns (${[...new Set(hidden)].join(", ")}): ${fail}`;
}

/** Only what leaves the application's writes working, in every publication that has the table. */
function identify(table: CatalogTable, version: number): string {
  const quoted = quoteTable(table);
  // Of what holds no rows, or none that is logged, no write is refused.
  const may = (identity: Identity): boolean => !table.plain || !table.logged || serves(table, identity, version);
  if (table.primaryKey.length > 0 && may(table.primaryKey)) return `ALTER TABLE ${quoted} REPLICA IDENTITY DEFAULT;`;
  if (may("full")) {
    return `ALTER TABLE ${quoted} REPLICA IDENTITY FULL; -- or better: ALTER TABLE ${quoted} ADD PRIMARY KEY (...)`;
  }
  const index = table.candidate;
  if (index && may(index.columns)) {
    return `ALTER TABLE ${quoted} REPLICA IDENTITY USING INDEX ${quoteIdentifier(index.name)};`;
  }
  return `Give it a primary key, and REPLICA IDENTITY DEFAULT: ALTER TABLE ${quoted} ADD PRIMARY KEY (...); or leave it out with "!${table.schema}.${table.name}" in tables.`;
}
