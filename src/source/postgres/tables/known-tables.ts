// What was published of a source's tables when it was looked last, and what is missing of that now. Pure.

import type { Published, PublishedTable } from "../facts/publication.ts";
import type { FoundTable } from "../facts/tables.ts";
import type { KnownTables } from "../slot/slot-record.ts";

export function knownOf(published: Published, tables: readonly FoundTable[]): KnownTables {
  const ours = new Set(tables.map(({ oid }) => oid));
  const entries = published.tables
    .filter(({ oid }) => ours.has(oid))
    .map((table) => [table.oid, entryOf(table)] as const);
  const { oid, ops, viaRoot } = published;
  return { publication: oid, ops: [...ops], viaRoot, tables: Object.fromEntries(entries) };
}

/** On record, before the entry, while a table is taken out by ourselves: that it is gone is then no loss by somebody else. */
const LEAVING = "leaving ";

export function withLeaving(known: KnownTables, tables: readonly FoundTable[]): KnownTables {
  const leaving = tables.map(({ oid }) => [oid, LEAVING + (known.tables[oid] ?? "").replace(LEAVING, "")] as const);
  return { ...known, tables: { ...known.tables, ...Object.fromEntries(leaving) } };
}

/** Whether a table that was to be taken out was; one of which that cannot be told counts as taken out. */
export function takenOut(known: KnownTables, published: Published): (oid: string) => boolean {
  const entries = new Map(published.tables.map((table) => [table.oid, entryOf(table)]));
  return (oid) => {
    const [before, now] = [known.tables[oid], entries.get(oid)];
    if (!before?.startsWith(LEAVING)) return false;
    return now === undefined || before === LEAVING || now !== before.slice(LEAVING.length);
  };
}

/**
 * Whether a table is no longer published as it was. One that came back is another entry; those with a row filter are made
 * anew when the filter changes, at one stroke.
 */
export function leftSince(known: KnownTables, published: Published): (oid: string) => boolean {
  const entries = new Map(published.tables.map((table) => [table.oid, entryOf(table)]));
  return (oid) => {
    const [before, now] = [known.tables[oid], entries.get(oid)];
    if (before === undefined || before.startsWith(LEAVING)) return false;
    return now === undefined || (before !== "" && now !== "" && now !== before);
  };
}

/** In words; undefined when it publishes all that it did. */
export function optionsLost(known: KnownTables, { ops, viaRoot }: Published): string | undefined {
  const lost = known.ops.filter((op) => !ops.includes(op));
  if (lost.length > 0) return lost.join(", ");
  return known.viaRoot && !viaRoot ? "rows of partitions under the name of their root" : undefined;
}

export function sameKnown(a: KnownTables, b: KnownTables): boolean {
  const text = ({ publication, ops, viaRoot, tables, places }: KnownTables): string =>
    JSON.stringify([publication, ops, viaRoot, Object.entries(tables).sort(), places]);
  return text(a) === text(b);
}

/** What one record of a state may take of the places of rows, far below what the bus takes as a message. */
const PLACES_BYTES = 256 * 1024;

/** Without its places where they are too many (some 5,000 partitions): then they are compared while this process runs. */
export function storable(known: KnownTables): KnownTables {
  const { places, ...rest } = known;
  return places !== undefined && JSON.stringify(places).length > PLACES_BYTES ? rest : known;
}

function entryOf({ entry, filtered }: PublishedTable): string {
  return filtered ? "" : entry;
}
