// How far a table is read, in the progress of its copy: JSON, with a place for each of its segments. How many there are is chosen when
// the table is begun: a place means something among as many segments alone.

import type { Item } from "../values/attribute.ts";

/** The key of the item behind which a segment goes on; null: from its first one on; true: all of it was read. */
export type SegmentPlace = Item | null | true;

/** Read at once: they lie on different partitions of the server. */
const SEGMENTS = 4;

/** @param table the server's own name of the table's life: one that was made again is read from the beginning */
export function readPlaces(
  after: Readonly<Record<string, unknown>> | undefined,
  table: string,
): readonly SegmentPlace[] {
  const { table: of, at } = after ?? {};
  if (of === table && Array.isArray(at)) return at as readonly SegmentPlace[];
  return Array.from({ length: SEGMENTS }, () => null);
}

/** The other way round. */
export function writePlaces(table: string, at: readonly SegmentPlace[]): Readonly<Record<string, unknown>> {
  return { table, at };
}

export function isSamePlace(a: SegmentPlace, b: SegmentPlace): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
