// What `check` says of tables with `toast: "reselect"`: whether the worker's role may read what it is to ask for.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { grantSelect, quoteIdentifier, quoteTable } from "../client/sql.ts";
import type { ReselectFacts } from "../facts/reselect.ts";

/** Nothing where all is well: the tables' own findings say so. */
export function reselectFindings(table: ReselectFacts): readonly Finding[] {
  const { fail } = about(`table ${table.schema}.${table.name}`);
  const role = quoteIdentifier(table.role);
  const [, select] = grantSelect(table, role);
  const enter = `GRANT USAGE ON SCHEMA ${table.closed.map(quoteIdentifier).join(", ")} TO ${role};`;
  const isClosed = table.closed.length > 0;
  const findings: Finding[] = [];
  if (!table.hasKey) {
    findings.push(
      fail(
        "RESELECT_WITHOUT_KEY",
        'toast: "reselect" looks rows up by their key, and its events have none',
        `Give it a primary key: ALTER TABLE ${quoteTable(table)} ADD PRIMARY KEY (...); or name it without toast.`,
      ),
    );
  }
  if (isClosed || table.unreadable.length > 0) {
    const what = isClosed ? `anything in the schema ${table.closed.join(", ")}` : table.unreadable.join(", ");
    findings.push(
      fail(
        "RESELECT_NOT_GRANTED",
        `toast: "reselect" needs to read it, and the role ${table.role} may not read ${what}`,
        [...(isClosed ? [enter] : []), ...(table.unreadable.length > 0 ? [select] : [])].join("\n"),
      ),
    );
  }
  if (table.rowSecurity) {
    findings.push(
      fail(
        "RESELECT_ROW_SECURITY",
        `row level security hides rows from the role ${table.role}: toast: "reselect" would not find them`,
        `ALTER ROLE ${role} BYPASSRLS;`,
      ),
    );
  }
  return findings;
}
