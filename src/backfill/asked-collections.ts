// Which collections a copy goes through: those that were asked for, of those that the source reads, in the order of their names;
// where some are asked for by their ids, in the order of those, which a rename does not change.

import { MillraceError } from "../errors.ts";
import { formatCollectionName, parseCollectionName } from "../event/collection-name.ts";
import type { CopyTarget, RowCopier } from "../source/capabilities.ts";
import type { Order, Wanted } from "./order.ts";
import { isDone, type Progress } from "./progress.ts";

/** Bytes of names: each marker has them, and each batch a marker. */
const NAMES_BYTES = 16 * 1024;

/** Those of the names, from the first on, that a marker has room for. */
export function fitting(names: readonly string[]): readonly string[] {
  let bytes = 0;
  const end = names.findIndex((name) => {
    bytes += Buffer.byteLength(name) + 3;
    return bytes > NAMES_BYTES;
  });
  return end < 0 ? names : names.slice(0, end);
}

/** The collection that it is at or, behind that one, the next that is asked for. */
export function targetOf(targets: readonly CopyTarget[], order: Order, { at }: Progress): CopyTarget | undefined {
  const asked = askedOf(targets, order);
  if (at === undefined) return asked[0];
  if (order.ids !== undefined) return asked.find(({ id }) => (id === at.id ? !isDone(at) : id > at.id));
  return asked.find((target) => (compare(target, at) === 0 ? !isDone(at) : compare(target, at) > 0));
}

function askedOf(targets: readonly CopyTarget[], order: Order): readonly CopyTarget[] {
  const asked = targets.filter(askedBy(order));
  return order.ids === undefined ? asked : asked.toSorted((one, other) => (one.id < other.id ? -1 : 1));
}

/** Whether a collection is asked for. There may be thousands of both. */
export function askedBy(wanted: Wanted & Pick<Order, "without">): (target: CopyTarget) => boolean {
  const isAll = wanted.collections === undefined && wanted.ids === undefined;
  const [names, ids, without] = [wanted.collections, wanted.ids, wanted.without].map((each) => new Set(each));
  return (target) => {
    const name = formatCollectionName(target);
    return without?.has(name) !== true && (isAll || names?.has(name) === true || ids?.has(target.id) === true);
  };
}

/** Names of what is asked for, those of ids as they were when that was put on record; undefined: all that the source reads. */
export function askedNames({ collections, ids }: Wanted, initial: Order["initial"]): readonly string[] | undefined {
  if (collections === undefined && ids === undefined) return undefined;
  return [...(collections ?? []), ...(ids ?? []).map((id) => initial?.collections[id] ?? id)];
}

export type LeftOut = Pick<Progress, "leftOut" | "leftOutMore">;

/** Those that were left out up to now: their turn came before the target's, or the end, and the source did not read them, or somebody said so. */
export function leftOutBefore(
  target: CopyTarget | undefined,
  targets: readonly CopyTarget[],
  order: Order,
  { at, leftOut = [], leftOutMore }: Progress,
): LeftOut {
  const all = [...new Set([...leftOut, ...missedBefore(target, targets, order, at)])];
  const named = fitting(all);
  return {
    ...(named.length > 0 && { leftOut: named }),
    ...((leftOutMore === true || named.length < all.length) && { leftOutMore: true }),
  };
}

function missedBefore(
  target: CopyTarget | undefined,
  targets: readonly CopyTarget[],
  order: Order,
  at: Progress["at"],
): readonly string[] {
  const { collections = [], ids, without = [] } = order;
  const read = new Set(targets.map(formatCollectionName).filter((name) => !without.includes(name)));
  const named = [...collections, ...without];
  if (ids !== undefined) {
    const ended = target === undefined ? named.filter((name) => !read.has(name)) : [];
    return [...missedOf(target, targets, order, at), ...ended];
  }
  const begun = at !== undefined && !isDone(at) ? [formatCollectionName(at)] : [];
  return [...begun, ...named].filter((name) => {
    const place = read.has(name) ? undefined : parseCollectionName(name);
    if (place === undefined || (target !== undefined && compare(place, target) > 0)) return false;
    return at === undefined || compare(place, at) > (isDone(at) ? 0 : -1);
  });
}

/** Of those that are asked for by their ids, and copied in the order of those: which were passed and are not read. */
function missedOf(
  target: CopyTarget | undefined,
  targets: readonly CopyTarget[],
  { ids = [], initial }: Order,
  at: Progress["at"],
): readonly string[] {
  const read = new Set(targets.map(({ id }) => id));
  const isPassed = (id: string): boolean =>
    (target === undefined || id < target.id) && (at === undefined || id > at.id || (id === at.id && !isDone(at)));
  const missed = ids.filter((id) => !read.has(id) && isPassed(id));
  return missed.map((id) => (id === at?.id ? formatCollectionName(at) : (initial?.collections[id] ?? id)));
}

/** Of all that is asked for. What nobody can tell does not keep a copy from beginning. */
export async function estimateOf(copier: RowCopier, order: Order): Promise<number | undefined> {
  if (copier.estimate === undefined) return undefined;
  let rows = 0;
  try {
    for (const target of askedOf(await copier.targets(), order)) rows += (await copier.estimate(target)) ?? Number.NaN;
  } catch (error) {
    if (error instanceof MillraceError) return undefined;
    throw error;
  }
  return Number.isNaN(rows) ? undefined : rows;
}

/** Whether it is the very collection, under whatever name: one that was made anew under its name has other rows. */
export function isAt(at: NonNullable<Progress["at"]>, target: CopyTarget): boolean {
  return at.id === target.id;
}

function compare(one: Omit<CopyTarget, "id">, other: Omit<CopyTarget, "id">): number {
  if (one.namespace !== other.namespace) return one.namespace < other.namespace ? -1 : 1;
  return one.collection === other.collection ? 0 : one.collection < other.collection ? -1 : 1;
}
