// What `check` says of tables whose rows the configuration wants to be copied: whether the worker's role may read them whole. A copy
// would wait at the first of them that it may not, perhaps hours from its beginning. Each thing is told once, for all tables.

import { formatCollectionName } from "../../../event/collection-name.ts";
import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { isOutboxTable } from "../decode/outbox-table.ts";
import type { CopyRights } from "../facts/copy-rights.ts";
import type { FoundTable } from "../facts/tables.ts";
import type { PostgresConfig } from "../options/config.ts";

/** Names in a message; the statement has all. */
const MOST_NAMED = 5;

/**
 * Of the tables that are read, those whose rows the configuration wants to be copied, and the options that say so.
 * @param copied names, by id, of those whose one copy is over: rights that were taken back behind it are not missing
 */
export function wantedRows(
  { rulesOf, onGap, outbox }: Pick<PostgresConfig, "rulesOf" | "onGap" | "outbox">,
  tables: readonly FoundTable[],
  copied: Readonly<Record<string, string>> = {},
): { readonly tables: readonly FoundTable[]; readonly why: string } {
  const rows = tables.filter((table) => !isOutboxTable(outbox, table));
  const initial = rows.filter(
    ({ oid, schema, name }) =>
      rulesOf(schema, name)?.copied === true &&
      copied[oid] !== formatCollectionName({ namespace: schema, collection: name }),
  );
  const isMadeGood = onGap === "backfill";
  const why = [...(initial.length > 0 ? ['backfill: "initial"'] : []), ...(isMadeGood ? ['onGap: "backfill"'] : [])];
  return { tables: isMadeGood ? rows : initial, why: why.join(", ") };
}

/** Nothing where all of them can be read. @param why options that ask for the copy, as they are written */
export function copyFindings(tables: readonly CopyRights[], why: string): readonly Finding[] {
  const { warn } = about("backfill");
  const [first] = tables;
  if (first === undefined) return [];
  const role = quoteIdentifier(first.role);
  const unreadable = tables.filter(({ readable, closed }) => !readable || closed.length > 0);
  const closed = [...new Set(unreadable.flatMap((table) => table.closed))].sort();
  const ungranted = unreadable.filter(({ readable }) => !readable);
  const hidden = tables.filter(({ rowSecurity }) => rowSecurity);
  const findings: Finding[] = [];
  if (unreadable.length > 0) {
    const what = [
      ...(ungranted.length > 0 ? [`SELECT on ${named(ungranted)}`] : []),
      ...(closed.length > 0 ? [`USAGE on the schema ${closed.join(", ")}`] : []),
    ];
    findings.push(
      warn(
        "BACKFILL_NOT_GRANTED",
        `the role ${first.role} lacks ${what.join(" and ")}: a copy of existing rows (${why}) will wait at ${named(unreadable)}`,
        [
          ...(closed.length > 0 ? [`GRANT USAGE ON SCHEMA ${closed.map(quoteIdentifier).join(", ")} TO ${role};`] : []),
          ...(ungranted.length > 0 ? [`GRANT SELECT ON ${ungranted.map(quoteTable).join(", ")} TO ${role};`] : []),
        ].join("\n"),
      ),
    );
  }
  if (hidden.length > 0) {
    findings.push(
      warn(
        "BACKFILL_ROW_SECURITY",
        `row level security hides rows from the role ${first.role}: a copy of existing rows (${why}) will wait at ${named(hidden)}`,
        `ALTER ROLE ${role} BYPASSRLS;`,
      ),
    );
  }
  return findings;
}

function named(tables: readonly CopyRights[]): string {
  const names = tables.slice(0, MOST_NAMED).map(({ schema, name }) => `${schema}.${name}`);
  const more = tables.length - names.length;
  return `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
