// Which collections a copy goes through: those that were asked for, of those that the source reads, in the order of their names.

import { MillraceError } from "../errors.ts";
import { formatCollectionName, parseCollectionName } from "../event/collection-name.ts";
import type { CopyTarget, RowCopier } from "../source/capabilities.ts";
import type { Order } from "./order.ts";
import type { Progress } from "./progress.ts";

/** The collection that it is at or, behind that one, the next that is asked for. */
export function targetOf(targets: readonly CopyTarget[], order: Order, { at }: Progress): CopyTarget | undefined {
  const asked = askedOf(targets, order);
  if (at === undefined) return asked[0];
  return asked.find((target) => (isAt(at, target) ? at.after !== null : compare(target, at) > 0));
}

function askedOf(targets: readonly CopyTarget[], { collections }: Order): readonly CopyTarget[] {
  return targets.filter((target) => collections === undefined || collections.includes(formatCollectionName(target)));
}

/** Those that were left out up to now: their turn came before the target's, or the end, and the source did not read them. */
export function leftOutBefore(
  target: CopyTarget | undefined,
  targets: readonly CopyTarget[],
  { collections = [] }: Order,
  { at, leftOut = [] }: Progress,
): readonly string[] {
  const read = new Set(targets.map(formatCollectionName));
  const begun = at !== undefined && at.after !== null ? [formatCollectionName(at)] : [];
  const missed = [...begun, ...collections].filter((name) => {
    const place = read.has(name) ? undefined : parseCollectionName(name);
    if (place === undefined || (target !== undefined && compare(place, target) > 0)) return false;
    return at === undefined || compare(place, at) > (at.after === null ? 0 : -1);
  });
  return [...new Set([...leftOut, ...missed])];
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

export function isAt(at: NonNullable<Progress["at"]>, target: CopyTarget): boolean {
  return compare(target, at) === 0;
}

function compare(one: Omit<CopyTarget, "id">, other: Omit<CopyTarget, "id">): number {
  if (one.namespace !== other.namespace) return one.namespace < other.namespace ? -1 : 1;
  return one.collection === other.collection ? 0 : one.collection < other.collection ? -1 : 1;
}
