// Messages that somebody took out of the middle of a stream, by a deletion or a limit per subject: which numbers they had. Pure
// but for the question.

import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";

/** Numbers, both ends included, rising. */
export type Runs = readonly (readonly [first: number, last: number])[];

/** What is missing among the numbers of a stream; asks for them only where some are. */
export async function readRemoved(jsm: JetStreamManager, { config, state }: StreamInfo): Promise<Runs> {
  if ((state.num_deleted ?? 0) === 0) return [];
  const details = await jsm.streams.info(config.name, { deleted_details: true });
  return runsOf(details.state.deleted ?? []);
}

export function runsOf(numbers: readonly number[]): Runs {
  const runs: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const newest = runs.at(-1);
    if (newest !== undefined && number <= newest[1] + 1) newest[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}

/** Those of `runs` above `after` and not above `upTo` that are not among `known`. */
export function newlyRemoved(runs: Runs, known: Runs, after: number, upTo: number): Runs {
  const found: [number, number][] = [];
  for (const [first, last] of runs) {
    let from = Math.max(first, after + 1);
    const to = Math.min(last, upTo);
    for (const [knownFirst, knownLast] of known) {
      if (knownLast < from || knownFirst > to) continue;
      if (knownFirst > from) found.push([from, knownFirst - 1]);
      from = knownLast + 1;
    }
    if (from <= to) found.push([from, to]);
  }
  return found;
}

export function countOf(runs: Runs): number {
  return runs.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
