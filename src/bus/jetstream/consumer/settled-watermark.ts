// Up to where a durable has settled all that is its own, and what left its stream before that. Pure.

import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";
import type { StreamGap } from "../../subscription.ts";

/** More runs than this are told as a gap though they are old: about 200 kB, for the record is one message. */
const MAX_GONE = 10_000;

/** What one look shows: first the stream, then the durable and what waits for it, then the stream once more. */
export interface Look {
  /** When the stream was made: in another one the numbers are others. */
  readonly created: string;
  /** The first message that the stream still holds; above `lastSeq` when it holds nothing. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** All of the durable's own up to here is settled; undefined when nothing that was handed out is unsettled. */
  readonly ackFloor: number | undefined;
  /** The next sequence to be handed out; undefined when nothing waits. */
  readonly next: number | undefined;
  /** What the stream's first sequence is in the end: it may have dropped something meanwhile. */
  readonly firstSeqAfter: number;
  /** What is missing among the numbers of the stream. */
  readonly removed: Runs;
  readonly durable: DurableOnRecord;
}

/** As it is kept: all that is the durable's own up to and including `through` is settled. */
export interface SettledWatermark {
  readonly created: string;
  readonly through: number;
  /** Numbers above it that had been taken out of the stream before the first look: nobody was promised them. */
  readonly gone?: Runs;
  /** The durable that does so; undefined where an older version made it. */
  readonly durable?: DurableOnRecord;
}

/** Each one that is made for an automation is another life of it. */
export interface DurableOnRecord {
  readonly life: number;
  /** When the server says it was made; undefined until it was. */
  readonly created?: string;
}

/** Whether a durable is the one whose work is on record: else somebody made it, from a place of their own. */
export function isOnRecord(known: SettledWatermark | undefined, { life, created }: Required<DurableOnRecord>): boolean {
  const durable = known?.durable;
  if (durable === undefined) return true;
  return durable.life === life && (durable.created ?? created) === created;
}

/**
 * Numbers that the stream has dropped without their being accounted for; told at each look until `through` stands behind
 * them. Not by what was handed out since: that may have begun behind the gap, and what a killed worker had in hand is not
 * handed out again once it is dropped.
 * @param known undefined for a durable that is new, or was never looked at: what came before is not asked for
 */
export function missedSince(known: SettledWatermark | undefined, { created, firstSeq }: Look): StreamGap | undefined {
  if (known === undefined || known.created !== created || firstSeq <= known.through + 1) return undefined;
  return { first: known.through + 1, last: firstSeq - 1 };
}

/**
 * What is accounted for after a look that found nothing missed. Where the stream dropped something while it was looked at,
 * `next` may stand behind what was missed: then nothing new is, and the next look tells.
 */
export function accountFor(known: SettledWatermark | undefined, look: Look): SettledWatermark {
  const { created, firstSeq, lastSeq, ackFloor, next, firstSeqAfter, durable } = look;
  const settled = ackFloor ?? (next === undefined ? lastSeq : next - 1);
  if (known === undefined || known.created !== created)
    return { created, through: Math.max(firstSeq - 1, settled), durable };
  const dropped = firstSeqAfter > known.through + 1;
  return { created, through: dropped ? known.through : Math.max(known.through, settled), durable };
}

/**
 * What was taken out of the middle of the stream since the durable was looked at first, as far as the durable has passed it
 * by now: one gap from the first to the last of them, for others between them were handed out.
 * @param accounted what `accountFor` makes of the look
 */
export function removedSince(
  known: SettledWatermark | undefined,
  accounted: SettledWatermark,
  removed: Runs,
): StreamGap | undefined {
  if (known?.gone === undefined || known.created !== accounted.created) return undefined;
  const runs = newlyRemoved(removed, known.gone, known.through, accounted.through);
  const [first, last] = [runs[0]?.[0], runs.at(-1)?.[1]];
  return first === undefined || last === undefined ? undefined : { first, last, removed: countOf(runs) };
}

/** What is kept of `gone`: taken anew for another stream, and at the first look. */
export function goneBefore(
  known: SettledWatermark | undefined,
  { created, through }: SettledWatermark,
  removed: Runs,
): Runs {
  const gone = known?.created === created ? (known.gone ?? removed) : removed;
  return gone.filter(([, last]) => last > through).slice(0, MAX_GONE);
}

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
  let next = 0; // both lists rise: what ends before one run ends before all later ones
  for (const [first, last] of runs) {
    let from = Math.max(first, after + 1);
    const to = Math.min(last, upTo);
    for (; next < known.length; next++) {
      const [knownFirst, knownLast] = known[next] as (typeof known)[number];
      if (knownFirst > to) break;
      if (knownFirst > from) found.push([from, knownFirst - 1]);
      from = Math.max(from, knownLast + 1);
      if (knownLast > to) break; // it may reach into the next one
    }
    if (from <= to) found.push([from, to]);
  }
  return found;
}

function countOf(runs: Runs): number {
  return runs.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
