// Why Postgres would refuse the application's UPDATE and DELETE of a table that is published: its own rules, of 14 to 18. Pure.

import { type CatalogTable, type Identity, type Publishing, toldBy } from "../facts/catalog-tables.ts";

/** From here on Postgres knows whether stored generated columns are published, and refuses writes for it. */
const GENERATED_VERSION = 180_000;

/** Whether stored generated columns can be published. @param version of the server, as `server_version_num` */
export function publishesGenerated(version: number): boolean {
  return version >= GENERATED_VERSION;
}

/** `columns` are those in the way; none where there is no identity at all. */
export interface Refusal {
  readonly kind: "identity" | "virtual" | "stored" | "list" | "filter";
  readonly columns: readonly string[];
}

/**
 * Undefined where the writes are accepted.
 * @param identity what the table has; another one to know what it would be like
 * @param version of the server, as `server_version_num`
 */
export function refusalOf(
  table: Pick<CatalogTable, "columns" | "stored" | "virtual">,
  by: Omit<Publishing, "publication">,
  identity: Identity,
  version: number,
): Refusal | undefined {
  const full = identity === "full";
  const told = toldBy(table, identity);
  if (told.length === 0) return { kind: "identity", columns: [] };
  if (full && table.virtual.length > 0) return { kind: "virtual", columns: table.virtual };
  if (by.list !== null) {
    const unlisted = told.filter((column) => by.list?.includes(column) === false);
    if (full || unlisted.length > 0) return { kind: "list", columns: unlisted };
  }
  const stored = told.filter((column) => table.stored.includes(column));
  const unpublished = publishesGenerated(version) && !by.generated && (full || by.list === null);
  if (unpublished && stored.length > 0) return { kind: "stored", columns: stored };
  const loose = full ? [] : by.filter.filter((column) => !told.includes(column));
  return loose.length > 0 ? { kind: "filter", columns: loose } : undefined;
}

/** Whether an identity would serve in each publication that has the table, and in one of ours. */
export function serves(table: CatalogTable, identity: Identity, version: number): boolean {
  const own = { generated: true, list: null, filter: [] };
  return [own, ...table.publishing].every((by) => refusalOf(table, by, identity, version) === undefined);
}
