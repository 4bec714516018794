// What the log carries of a table's rows as they were before: all of them under REPLICA IDENTITY FULL, else no more than a key.

import type { SourceId } from "../../../event/source-id.ts";
import type { CarriedImages, ImagesOf } from "../../capabilities.ts";
import { clientConfig, identify, Session } from "../client/session.ts";
import { quoteTable } from "../client/sql.ts";
import { identityOf, toldBy } from "../facts/catalog-tables.ts";
import { readTables, type TableFacts } from "../facts/tables.ts";
import type { PostgresConfig } from "../options/config.ts";
import { serves } from "./refused-writes.ts";

/** Asks the database only for who reads a row before; a row after is always there. @throws ConfigError, TransientError */
export async function carriedImages(
  id: SourceId,
  config: PostgresConfig,
  { namespace, name, op, images }: ImagesOf,
): Promise<CarriedImages | undefined> {
  const rules = config.rulesOf(namespace, name);
  if (rules === undefined || !images.includes("before") || op === "created") return undefined;
  await using session = new Session(clientConfig(id, config.url));
  const { version } = await identify(session);
  const rulesOf = (schema: string, table: string) => (schema === namespace && table === name ? rules : undefined);
  const { tables } = await readTables(session, { tables: config.tables, rulesOf }, version);
  const table = tables.find((one) => one.schema === namespace && one.name === name);
  return table && carriedBy(table, op);
}

function carriedBy(table: TableFacts, op: ImagesOf["op"]): CarriedImages {
  const holders = table.written.length === 0 ? [table.own] : table.written;
  const after = op === "deleted" ? [] : (["after"] as const);
  const said = { why: "its replica identity is not FULL", fix: fixOf(table) };
  if (holders.every((one) => identityOf(one) === "full")) return { images: ["before", ...after], ...said };
  if (op !== "deleted") return { images: after, ...said };
  // Each partition's rows carry their own: what all of them do is sure to be there.
  const carried = holders.map((one) => toldBy(one, identityOf(one)));
  const beforeColumns = table.own.columns.filter((column) => carried.every((of) => of.includes(column)));
  return { images: ["before"], beforeColumns, ...said };
}

function fixOf(table: TableFacts): string {
  const holders = table.written.length === 0 ? [table.own] : table.written;
  if (!holders.every((one) => serves(one, "full", table.version))) {
    return "REPLICA IDENTITY FULL would make the application's UPDATE and DELETE fail on this table: take a trigger that reads no row before.";
  }
  return [table.own, ...table.below.filter(({ plain, replident }) => plain && replident !== "f")]
    .map((one) => `ALTER TABLE ${quoteTable(one)} REPLICA IDENTITY FULL;`)
    .join("\n")
    .concat(" -- doubles the log of its updates");
}
