// Metrics whose values are taken when they are scraped.

import { Counter, Gauge, type Registry } from "prom-client";

type Samples<Label extends string> = Iterable<readonly [labels: Readonly<Record<Label, string>>, value: number]>;

/**
 * Adds a metric to a registry. What has no sample at a scrape has no value, rather than an old one.
 * @param metric what it is; its name ends with `_total` where it only grows
 */
export function sampled<Label extends string>(
  registry: Registry,
  metric: { readonly name: string; readonly help: string; readonly labelNames: Label[] },
  samples: () => Samples<Label> | Promise<Samples<Label>>,
): void {
  const made = {
    ...metric,
    registers: [registry],
    async collect(this: Counter<Label> | Gauge<Label>) {
      const taken = await samples();
      this.reset();
      for (const [labels, value] of taken) this.inc(labels, value);
    },
  };
  if (metric.name.endsWith("_total")) new Counter(made);
  else new Gauge(made);
}
