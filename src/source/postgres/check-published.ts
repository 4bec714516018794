// What `check` says of each published table: that its column list and its row filter fit the table and the configuration.

import type { Finding } from "../../telemetry/finding.ts";
import type { TableFacts } from "./check-tables.ts";
import type { PublicationFacts, PublishedTable } from "./publication-facts.ts";
import { publishedTable, publishesGenerated } from "./publication-sql.ts";
import { quoteIdentifier, quoteTable } from "./sql.ts";

export function publishedFindings(
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
  if (filter === null && table.where.length > 0 && !publication.mayMake) {
    findings.push({
      level: "fail",
      code: "ROW_FILTER_REFUSED",
      subject,
      message: `the publication has no row filter for it, and the option where says ${table.where.join(" AND ")}`,
      fix: published.member
        ? publishAgain(publication, table, columns, table.where.map((condition) => `(${condition})`).join(" AND "))
        : "Take where out of tables: a publication for all tables, or all of a schema, has no row filters.",
    });
  }
  const dropped = table.storedGenerated.filter((column) => columns?.includes(column) !== true);
  const mayPublish = publishesGenerated(version);
  if (columns === null && !publication.generated && dropped.length > 0 && !(publication.mayMake && mayPublish)) {
    findings.push({
      level: "warn",
      code: "GENERATED_LEFT_OUT",
      subject,
      message: `the publication leaves generated columns out of the events: ${dropped.join(", ")}`,
      fix: mayPublish
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
  return `BEGIN; ${alter} DROP TABLE ${publishedTable(table)}; ${alter} ADD TABLE ${publishedTable(table)}${list}${where}; COMMIT;`;
}
