// What `check` says of each published table: that its column list and its row filter fit the table and the configuration.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { type CatalogTable, identityOf, type Publishing } from "../facts/catalog-tables.ts";
import type { JudgedTable, PublicationFacts } from "../facts/publication.ts";
import type { TableFacts } from "../facts/tables.ts";
import { guarded, publishedTable, publishGenerated } from "./publication-sql.ts";
import { publishesGenerated, type Refusal, refusalOf, serves } from "./refused-writes.ts";

interface Published {
  readonly publication: PublicationFacts;
  readonly published: JudgedTable | undefined;
  readonly table: TableFacts;
  readonly version: number;
}

/** Nothing of a table that it does not have, and whose partitions it does not have either. */
export function publishedFindings(
  publication: PublicationFacts,
  published: JudgedTable | undefined,
  table: TableFacts,
  version: number,
): readonly Finding[] {
  const subject = `table ${table.schema}.${table.name}`;
  const findings: Finding[] = [];
  for (const refused of refusals(publication, table, version)) {
    findings.push({ level: "fail", subject, ...refusedFinding(refused, { publication, published, table, version }) });
  }
  if (published === undefined) return findings;
  const { columns, condition, entry } = published;
  if (condition === null && table.where.length > 0 && !publication.mayMake) {
    findings.push(
      about(subject).fail(
        "ROW_FILTER_REFUSED",
        `the publication has no row filter for it, and the option where says ${table.where.join(" AND ")}`,
        entry !== ""
          ? publishAgain(publication, table, columns, table.where.map((one) => `(${one})`).join(" AND "))
          : "Take where out of tables: a publication for all tables, or all of a schema, has no row filters.",
      ),
    );
  }
  const mendsItself = publication.mayMake && publishesGenerated(version);
  const dropped = table.own.stored.filter((column) => columns?.includes(column) !== true);
  const refused = findings.some(({ code }) => code === "GENERATED_IN_IDENTITY");
  if (columns === null && !publication.generated && dropped.length > 0 && !mendsItself && !refused) {
    findings.push(
      about(subject).warn(
        "GENERATED_LEFT_OUT",
        `the publication leaves generated columns out of the events: ${dropped.join(", ")}`,
        publishesGenerated(version)
          ? publishGenerated(publication.name)
          : "Compute them in the handler: before Postgres 18 they are not in the log's stream.",
      ),
    );
  }
  return findings;
}

type RefusedFinding = Pick<Finding, "code" | "message"> & { readonly fix: string };

interface Refused {
  readonly refusal: Refusal;
  readonly by: Publishing;
  readonly one: CatalogTable;
}

/** The refusals of the table, or of its partitions. What has no identity is said of the table itself. */
function refusals({ name }: PublicationFacts, { written }: TableFacts, version: number): readonly Refused[] {
  const found = written.flatMap((one): readonly Refused[] => {
    const by = one.publishing.find(({ publication }) => publication === name);
    const refusal = by && refusalOf(one, by, identityOf(one), version);
    return by === undefined || refusal === undefined ? [] : [{ refusal, by, one }];
  });
  const said = found.filter(({ refusal: { kind } }) => kind !== "identity" && kind !== "virtual");
  return said.filter(({ refusal: { kind } }, at) => said.findIndex(({ refusal }) => refusal.kind === kind) === at);
}

function refusedFinding(
  { refusal: { kind, columns: inTheWay }, by, one }: Refused,
  { publication, published, table, version }: Published,
): RefusedFinding {
  const fail = `the application's UPDATE and DELETE fail: the publication's`;
  if (kind === "stored") {
    return {
      code: "GENERATED_IN_IDENTITY",
      message: `${fail} events lack generated columns that are part of the replica identity: ${inTheWay.join(", ")}`,
      fix: publishGenerated(publication.name),
    };
  }
  const identity = identityOf(one);
  const again = (list: readonly string[] | null, filter: string | null): string =>
    published === undefined
      ? `Let its owner publish the table itself, and not its partitions: ${one.schema}.${one.name} is one.`
      : publishAgain(publication, table, list, filter);
  // A list that holds all that the identities of the table and its partitions have; under FULL none is accepted.
  const identities = table.written.map(identityOf);
  const whole = [...new Set([by.list ?? [], ...identities].flat())];
  // Before 18 a list can have no generated column.
  const unlistable = !publishesGenerated(version) && table.own.stored.some((column) => whole.includes(column));
  const list = identities.includes("full") || by.list === null || unlistable ? null : whole;
  if (kind === "list") {
    const lacks = identity === "full" ? "is refused beside REPLICA IDENTITY FULL" : `lacks ${inTheWay.join(", ")}`;
    const generated = list === null && table.own.stored.length > 0 && !publication.generated;
    const key = table.partitioned ? [table.primaryKey] : identities;
    const loose = by.filter.some((column) => key.some((told) => told !== "full" && !told.includes(column)));
    return {
      code: "COLUMN_LIST_LACKS_KEY",
      message: `${fail} column list ${lacks}`,
      fix: [
        ...(generated && publishesGenerated(version) ? [publishGenerated(publication.name)] : []),
        again(list, loose ? null : (published?.condition ?? null)),
      ].join("\n"),
    };
  }
  return {
    code: "ROW_FILTER_OFF_KEY",
    message: `${fail} row filter reads ${inTheWay.join(", ")}, no part of the replica identity`,
    fix:
      !table.partitioned && serves(one, "full", version)
        ? `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL; -- or publish the table without its filter`
        : again(list, null),
  };
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
  return guarded(publication.name, filter === null ? undefined : table, [
    `${alter} DROP TABLE ${publishedTable(table)}`,
    `${alter} ADD TABLE ${publishedTable(table)}${list}${where}`,
  ]);
}
