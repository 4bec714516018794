// A histogram for what happens tens of thousands of times a second: plain numbers, which the registry reads when it is scraped.
// The client's own looks its labels up and checks them at each value.

import type { Metric, Registry } from "prom-client";

interface Kept {
  readonly labels: Readonly<Record<string, string>>;
  /** How many values were at most each bound and above the one before; the last one of those above all bounds. */
  readonly counts: number[];
  sum: number;
}

/** What was seen under one set of labels. */
export class Durations {
  readonly #bounds: readonly number[];
  readonly #kept: Kept;

  constructor(bounds: readonly number[], kept: Kept) {
    this.#bounds = bounds;
    this.#kept = kept;
  }

  observe(seconds: number): void {
    const kept = this.#kept;
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && seconds > (bounds[at] as number)) at++;
    kept.counts[at] = (kept.counts[at] ?? 0) + 1;
    kept.sum += seconds;
  }
}

/**
 * Adds a histogram to a registry.
 * @param bounds in seconds, rising
 * @returns makes what values of these labels are put into; once for each set of labels
 */
export function durationHistogram(
  registry: Registry,
  metric: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
  bounds: readonly number[],
): (labels: Readonly<Record<string, string>>) => Durations {
  const all: Kept[] = [];
  const described = { ...metric, type: "histogram", aggregator: "sum" };
  const get = async (): Promise<unknown> => ({
    ...described,
    values: all.flatMap(({ labels, counts, sum }) => {
      let count = 0;
      const buckets = [...bounds, "+Inf"].map((le, at) => {
        count += counts[at] ?? 0;
        return { metricName: `${metric.name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...buckets,
        { metricName: `${metric.name}_sum`, labels, value: sum },
        { metricName: `${metric.name}_count`, labels, value: count },
      ];
    }),
  });
  // All that the registry asks of a metric.
  registry.registerMetric({ ...described, get } as unknown as Metric);
  return (labels) => {
    const kept: Kept = { labels, counts: [], sum: 0 };
    all.push(kept);
    return new Durations(bounds, kept);
  };
}
