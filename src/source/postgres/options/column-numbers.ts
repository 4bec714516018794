// Which numbers the log's columns have. The log does not say them, and the catalog may be of a later time: columns may have
// been renamed, retyped, dropped and made again since. What is certain: the log has them in the order of their numbers.

import type { CatalogColumn } from "../client/catalog.ts";

interface LogColumn {
  readonly name: string;
  readonly type: number;
}

/** For each column of the log its number; null where more than one is possible. */
export function columnNumbers(
  log: readonly LogColumn[],
  catalog: readonly CatalogColumn[],
): readonly (number | null)[] {
  const named = log.map(
    ({ name, type }) => catalog.find((column) => column.name === name && column.type === type)?.attnum ?? null,
  );
  const numbers = rising(named);
  const end = 1 + Math.max(0, ...catalog.map(({ attnum }) => attnum));
  for (let from = 0; from < numbers.length; from++) {
    if (numbers[from] !== null) continue;
    let to = from;
    while (to < numbers.length && numbers[to] === null) to++;
    // All numbers between the neighbours are theirs, or of columns that the log leaves out: only a full house is certain.
    const low = from === 0 ? 0 : (numbers[from - 1] as number);
    const high = to === numbers.length ? end : (numbers[to] as number);
    if (high - low - 1 === to - from) for (let at = from; at < to; at++) numbers[at] = low + 1 + at - from;
    from = to;
  }
  return numbers;
}

/**
 * The most numbers that rise; the others are null. Of equally many the lower ones: a column that was dropped and made again
 * has a higher number now than it had.
 */
function rising(numbers: readonly (number | null)[]): (number | null)[] {
  /** By length, the place of the lowest number that such a row may end with; and for each place the one before. */
  const ends: number[] = [];
  const before: (number | undefined)[] = [];
  numbers.forEach((number, at) => {
    if (number === null) return;
    let length = ends.findIndex((end) => (numbers[end] as number) >= number);
    if (length < 0) length = ends.length;
    ends[length] = at;
    before[at] = ends[length - 1];
  });
  const kept = numbers.map((): number | null => null);
  for (let at = ends.at(-1); at !== undefined; at = before[at]) kept[at] = numbers[at] as number;
  return kept;
}
