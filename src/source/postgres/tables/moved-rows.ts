// Rows that came into a source's tables, or went, without a change that the log tells: each kind becomes a gap marker.

import type { Session } from "../client/session.ts";
import type { Published } from "../facts/publication.ts";
import type { Places } from "../slot/slot-record.ts";
import { type Member, readFacts, type Seen, type TableFacts } from "./places.ts";
import type { TableGap } from "./table-record.ts";

/** One partition as it was on record. */
interface Part {
  readonly oid: string;
  readonly node: string;
  readonly link: string;
  readonly name: string;
}

interface Change {
  /** The root's name. */
  readonly name: string;
  readonly joined: readonly Member[];
  readonly gone: readonly Part[];
  readonly rewritten: readonly Member[];
}

/**
 * Compares what was seen with what was on record.
 * @param before the publication before anything of it was mended
 */
export async function movedRows(
  session: Session,
  last: Places,
  { places: now, members }: Seen,
  before: Published,
): Promise<readonly TableGap[]> {
  const changes = Object.keys(last.parts).flatMap((root) => changesOf(root, last, now, members));
  const renamed = Object.keys(last.names).filter((oid) => now.names[oid] !== last.names[oid]);
  const asked = changes.flatMap(({ joined, gone }) => [...joined, ...gone]).map(({ oid }) => oid);
  const facts = await readFacts(session, [...new Set([...renamed, ...asked])]);
  const attached = changes.flatMap((change) => attachedGap(change, last, facts));
  return [
    ...changes.flatMap((change) => [...detachedGap(change, facts), ...truncatedGap(change)]),
    ...attached,
    ...renamed.flatMap((oid) => renamedGap(oid, { last, now }, members, facts)),
    ...droppedGap(renamed.filter((oid) => !facts.has(oid)).map((oid) => last.names[oid] ?? "")),
    ...filterGap(last, now, before),
  ];
}

function partsOf(places: Places, root: string): readonly Part[] {
  return Object.entries(places.parts[root] ?? {}).map(([oid, text]) => {
    const [node = "", link = "", ...name] = text.split(" ");
    return { oid, node, link, name: name.join(" ") };
  });
}

/** What a table's place in the catalog is of once it was written anew for its age. */
const FROZEN = "2";

function changesOf(root: string, last: Places, now: Places, all: readonly Member[]): readonly Change[] {
  const name = now.names[root];
  if (name === undefined) return []; // what became of it as a whole is told
  const parts = partsOf(last, root);
  const before = new Map(parts.map((part) => [part.oid, part]));
  const members = all.filter((member) => member.root === root);
  const moved = (member: Member): boolean => {
    const part = before.get(member.oid);
    return part === undefined || (part.link !== member.link && member.link !== FROZEN);
  };
  const present = new Set(members.map(({ oid }) => oid));
  const stayed = members.filter((member) => !moved(member) && member.node !== "0");
  const rewritten = stayed.filter(({ oid, node }) => before.get(oid)?.node !== node);
  // TRUNCATE of the root, which is told, and ALTER TABLE do it to all of them at once.
  const byRoot = rewritten.length > 1 && rewritten.length === stayed.length && sameTransaction(rewritten);
  const gone = parts.filter(({ oid, node }) => node !== "0" && !present.has(oid));
  return [{ name, joined: members.filter(moved), gone, rewritten: byRoot ? [] : rewritten }];
}

function sameTransaction(members: readonly Member[]): boolean {
  return new Set(members.map(({ changed }) => changed)).size === 1;
}

/** A partition that was made as one has no rows but those that were told. */
function attachedGap(
  { name, joined }: Change,
  last: Places,
  facts: ReadonlyMap<string, TableFacts>,
): readonly TableGap[] {
  const attached = joined.flatMap(({ oid }) => {
    const found = facts.get(oid);
    return found === undefined || found.born || !found.stored ? [] : [found];
  });
  if (attached.length === 0) return [];
  const own = attached.flatMap(({ oid }) => last.names[oid] ?? []);
  const moved = own.length === 0 ? "" : `; from here on rows of ${own.join(", ")} come under ${name}`;
  const reason = `${listed(attached)} became part of ${name}; rows written before are not in the stream under it${moved}`;
  return [{ code: "PARTITION_ATTACHED", reason, collections: [name, ...own] }];
}

function detachedGap({ name, gone }: Change, facts: ReadonlyMap<string, TableFacts>): readonly TableGap[] {
  if (gone.length === 0) return [];
  const there = gone.flatMap(({ oid }) => facts.get(oid) ?? []);
  const dropped = gone.filter(({ oid }) => !facts.has(oid)).map((part) => part.name);
  const what = [
    ...(there.length === 0 ? [] : [`${listed(there)} was detached`]),
    ...(dropped.length === 0 ? [] : [`${dropped.join(", ")} was dropped`]),
  ];
  const reason = `${what.join(", ")}: no longer part of ${name}; no event tells that its rows are gone from there`;
  return [{ code: "PARTITION_DETACHED", reason, collections: [name] }];
}

function truncatedGap({ name, rewritten }: Change): readonly TableGap[] {
  if (rewritten.length === 0) return [];
  const parts = rewritten.map((part) => part.name).join(", ");
  const reason = `${parts}, of ${name}, was truncated, and no event tells that its rows are gone; or it was only rewritten (VACUUM FULL, CLUSTER), and then nothing is missing`;
  return [{ code: "PARTITION_TRUNCATED", reason, collections: [name] }];
}

function renamedGap(
  oid: string,
  { last, now }: { readonly last: Places; readonly now: Places },
  members: readonly Member[],
  facts: ReadonlyMap<string, TableFacts>,
): readonly TableGap[] {
  const was = last.names[oid] ?? "";
  const found = facts.get(oid);
  // One that became a partition is told as that.
  if (found === undefined || members.some((member) => member.oid === oid)) return [];
  if (found.name === was || found.bareName === was) return []; // it was left out by the configuration
  const named = now.names[oid] !== undefined;
  const then = named
    ? "its rows come under that name from here on"
    : "which tables does not name: its rows are no longer told";
  const reason = `${was} was renamed to ${found.name}${rowsOf(found)}, ${then}`;
  return [{ code: "TABLE_RENAMED", reason, collections: named ? [was, found.name] : [was] }];
}

function droppedGap(collections: readonly string[]): readonly TableGap[] {
  if (collections.length === 0) return [];
  const reason = `${collections.join(", ")} was dropped; no event tells that its rows are gone`;
  return [{ code: "TABLE_DROPPED", reason, collections }];
}

function filterGap(last: Places, now: Places, before: Published): readonly TableGap[] {
  const filters = new Map(before.tables.map(({ oid, filter }) => [oid, filter]));
  const changed = Object.keys(last.names).filter((oid) => {
    if (now.names[oid] === undefined) return false;
    const was = last.filters[oid] ?? null;
    const passing = filters.get(oid);
    return (now.filters[oid] ?? null) !== was || (passing !== undefined && passing !== was);
  });
  if (changed.length === 0) return [];
  const collections = changed.map((oid) => now.names[oid] ?? "");
  const reason = `the row filter of ${collections.join(", ")} changed; no event tells of rows that meet it now and did not, or no longer do`;
  return [{ code: "ROW_FILTER_CHANGED", reason, collections }];
}

function listed(tables: readonly TableFacts[]): string {
  return tables.map((table) => table.name + rowsOf(table)).join(", ");
}

function rowsOf({ estimate }: TableFacts): string {
  return estimate === null ? "" : ` (about ${Math.round(estimate)} rows, by the estimate of the last ANALYZE)`;
}
