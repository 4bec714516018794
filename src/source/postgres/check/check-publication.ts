// What `check` says of the publication: that it is there, covers the tables, and publishes all of what happens to them.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteLiteral, quoteTable } from "../client/sql.ts";
import { identityOf } from "../facts/catalog-tables.ts";
import { insertsOnly, type PublicationFacts } from "../facts/publication.ts";
import type { TableFacts } from "../facts/tables.ts";
import { publishedFindings } from "./check-published.ts";
import { ALL_OPS, addLine, lacksFilters, publicationLines, publishGenerated } from "./publication-sql.ts";
import { publishesGenerated, refusalOf } from "./refused-writes.ts";

/** @param tables the configured ones, with the facts of `readTables` */
export function publicationFindings(
  publication: PublicationFacts,
  tables: readonly TableFacts[],
  server: { readonly version: number; readonly slotExists: boolean; readonly slot: string },
): readonly Finding[] {
  const unfit = filterFindings(publication, tables, server.version);
  if (!publication.exists) return unfit.length > 0 ? unfit : [missingFinding(publication, tables, server)];
  const members = new Map(publication.tables.map((table) => [quoteTable(table), table]));
  const findings = [
    ...unfit,
    coverageFinding(publication, tables, server.version),
    opsFinding(publication, server.version),
    rootFinding(publication, tables),
    youngerFinding(publication, server.slot),
    ...tables.flatMap((table) => publishedFindings(publication, members.get(quoteTable(table)), table, server.version)),
  ].filter((finding) => finding !== undefined);
  if (findings.length > 0) return findings;
  const message = "it covers all configured tables and everything that happens to them";
  return [about(subjectOf(publication)).ok("PUBLICATION", message)];
}

function subjectOf({ name }: PublicationFacts): string {
  return `publication ${name}`;
}

function filterFindings(
  publication: PublicationFacts,
  tables: readonly TableFacts[],
  version: number,
): readonly Finding[] {
  if (!lacksFilters(tables, version)) return [];
  return [
    about(subjectOf(publication)).fail(
      "ROW_FILTER_REFUSED",
      "row filters need Postgres 15",
      "Take where out of tables, and filter in the automation.",
    ),
  ];
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
  const fit = tables.filter(({ identified }) => identified);
  const fix = fit.length === 0 ? "See the tables above." : publicationLines(publication.name, fit, version).join("\n");
  const rest = fit.length < tables.length && fit.length > 0 ? "; those above are mended first, and added then" : "";
  return { ...finding, level: "fail", message: `it is missing, and the worker's role may not make it${rest}`, fix };
}

/** Without those whose rows cannot be told apart: to publish them would make the application's UPDATE and DELETE fail. */
function coverageFinding(
  publication: PublicationFacts,
  tables: readonly TableFacts[],
  version: number,
): Finding | undefined {
  const members = new Set(publication.tables.map(quoteTable));
  const lacking = tables.filter(
    (table) => (table.identified || publishesAny(publication)) && !members.has(quoteTable(table)),
  );
  if (publication.all || lacking.length === 0) return undefined;
  const names = lacking.map(({ schema, name }) => `${schema}.${name}`).join(", ");
  const finding = { code: "PUBLICATION_LACKS_TABLES", subject: subjectOf(publication), message: `it lacks ${names}` };
  if (publication.mayMake) return { ...finding, level: "ok", message: `${finding.message}; the worker adds them` };
  const strict = !insertsOnly(publication.ops);
  const generated = strict && !publication.generated && lacking.some((table) => needsGenerated(table, version));
  const fix = [
    ...(generated ? [publishGenerated(publication.name)] : []),
    ...lacking.map((table) => addLine(publication.name, table)),
  ].join("\n");
  return { ...finding, level: "fail", fix };
}

/** Whether it may have tables whose rows cannot be told apart. One of ours will tell of updates as soon as the worker starts. */
export function publishesAny({ exists, ours, ops }: PublicationFacts): boolean {
  return exists && !ours && insertsOnly(ops);
}

/** Whether its writes would be refused by a publication without stored generated columns. */
function needsGenerated({ written }: TableFacts, version: number): boolean {
  const by = { generated: false, list: null, filter: [] };
  return (
    publishesGenerated(version) &&
    written.some((one) => refusalOf(one, by, identityOf(one), version)?.kind === "stored")
  );
}

function opsFinding(publication: PublicationFacts, version: number): Finding | undefined {
  const lacking = ALL_OPS.filter((op) => !publication.ops.includes(op));
  if (lacking.length === 0) return undefined;
  const finding = { code: "PUBLICATION_LACKS_OPS", subject: subjectOf(publication) };
  const message = `it does not publish ${lacking.join(", ")}`;
  if (publication.mayMake) return { ...finding, level: "ok", message: `${message}; the worker adds them` };
  // Of tables that come in with others nobody was asked.
  const unfit = publication.inserted.filter((one) =>
    one.inserting.some((by) => by.publication === publication.name && refusalOf(one, by, identityOf(one), version)),
  );
  if (unfit.length > 0 || (publication.open && insertsOnly(publication.ops))) {
    const named = new Set(unfit.map(({ schema, name }) => `${schema}.${name}`));
    const which = [...named].join(", ") || "tables that it has without naming them";
    const fix = `None by SQL alone: if it told of them, the application's UPDATE and DELETE of ${which} could fail. Give these a replica identity that can be published first, or read by a publication of its own.`;
    return { ...finding, level: "warn", message: `${message}: no event will tell of them`, fix };
  }
  const fix = `ALTER PUBLICATION ${quoteIdentifier(publication.name)} SET (publish = '${ALL_OPS.join(", ")}');`;
  return { ...finding, level: "warn", message: `${message}: no event will tell of them`, fix };
}

function rootFinding(publication: PublicationFacts, tables: readonly TableFacts[]): Finding | undefined {
  if (publication.viaRoot || publication.mayMake || !tables.some((table) => table.partitioned)) return undefined;
  return about(subjectOf(publication)).fail(
    "PUBLICATION_OF_PARTITIONS",
    "rows of partitioned tables would come under the names of their partitions",
    `ALTER PUBLICATION ${quoteIdentifier(publication.name)} SET (publish_via_partition_root = true);`,
  );
}

/** Its rows are found as the catalog was where the slot stands: there a later one does not exist. */
function youngerFinding(publication: PublicationFacts, slot: string): Finding | undefined {
  if (!publication.youngerThanSlot) return undefined;
  return about(subjectOf(publication)).warn(
    "PUBLICATION_YOUNGER",
    `it was made or altered after the place where the slot ${slot} stands: made anew, it cannot be read from there`,
    `SELECT pg_catalog.pg_drop_replication_slot(${quoteLiteral(slot).trim()}); -- if it was dropped and made anew; then millrace run --adopt, which records the gap`,
  );
}
