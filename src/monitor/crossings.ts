// Which limits a source has crossed since the last look. Pure; a measure must come well back before it counts as recovered.

import type { LogRetention, RetentionMetric, RetentionProbe } from "../source/source.ts";

export interface Crossing {
  readonly measure: RetentionMetric;
  readonly state: "exceeded" | "recovered";
  /** Undefined when there is none any more. */
  readonly value: number | undefined;
  readonly limit: number;
}

/** Else a value that swings around its limit would be told at every swing. */
const BACK = 0.8;

/**
 * @param exceeded what was exceeded before
 * @param hold undefined when there is nothing that could be held: all is back
 */
export function crossings(
  exceeded: ReadonlySet<RetentionMetric>,
  hold: LogRetention | undefined,
  limits: RetentionProbe["limits"],
): readonly Crossing[] {
  // A log that is given up holds nothing: the other measures say neither good nor bad.
  const measures = hold?.lost ? (["lost"] as const) : (Object.keys(limits) as RetentionMetric[]);
  return measures.flatMap((measure): Crossing[] => {
    const value = hold?.[measure];
    const limit = limits[measure];
    const was = exceeded.has(measure);
    const is = value !== undefined && beyond(measure, value, limit, was ? BACK : 1);
    return was === is ? [] : [{ measure, state: is ? "exceeded" : "recovered", value, limit }];
  });
}

/** Time is the one measure of which less is worse. */
function beyond(measure: RetentionMetric, value: number, limit: number, share: number): boolean {
  return measure === "timeToFullSeconds" ? value < limit / share : value > limit * share;
}
