// Which limits a source has crossed since the last look. Pure; a measure must come well back before it counts as recovered.

import type { LogRetention, RetentionMetric } from "../source/source.ts";

export interface Crossing {
  /** The metric's name. */
  readonly measure: string;
  readonly state: "exceeded" | "recovered";
  /** Undefined when there is none any more. */
  readonly value: number | undefined;
  readonly limit: number;
}

/** Else a value that swings around its limit would be told at every swing. */
const BACK = 0.8;

/**
 * @param exceeded names of what was exceeded before
 * @param hold undefined when there is nothing that could be held: all is back
 */
export function crossings(
  exceeded: ReadonlySet<string>,
  hold: LogRetention | undefined,
  metrics: readonly RetentionMetric[],
): readonly Crossing[] {
  // A log that is given up holds nothing: the other measures say neither good nor bad.
  const lost = metrics.filter(({ means, name }) => means === "lost" && hold?.[name]);
  return (lost.length > 0 ? lost : metrics).flatMap((metric): Crossing[] => {
    const { name: measure, limit } = metric;
    const value = hold?.[measure];
    const was = exceeded.has(measure);
    const is = value !== undefined && beyond(metric, value, was ? BACK : 1);
    return was === is ? [] : [{ measure, state: is ? "exceeded" : "recovered", value, limit }];
  });
}

function beyond({ means, limit }: RetentionMetric, value: number, share: number): boolean {
  return means === "timeToFull" ? value < limit / share : value > limit * share;
}
