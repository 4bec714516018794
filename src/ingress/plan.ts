// What a configuration receives, made ready: receivers by name, typed events by type.

import type { ReceivedConfig } from "../config/resolve.ts";
import type { IngressCounters, IngressCounts } from "../telemetry/ingress-metrics.ts";
import { type DataCheck, dataCheckOf } from "./data-check.ts";
import { type Receiver, receiverOf } from "./provider/provider.ts";

export interface IngressPlan {
  readonly receivers: ReadonlyMap<string, Receiver>;
  /** By type, `<aggregate>.<name>`. */
  readonly types: ReadonlyMap<string, DataCheck>;
  /** Of whoever posts typed events: each is right. */
  readonly tokens: readonly string[];
}

/** @throws ConfigError EVENT_SCHEMA_INVALID */
export function ingressPlan({ webhooks, types, tokens }: ReceivedConfig): IngressPlan {
  return {
    receivers: new Map([...webhooks].map(([name, section]) => [name, receiverOf(name, section.reveal())])),
    types: new Map([...types].map(([type, schema]) => [type, dataCheckOf(type, schema)])),
    tokens: tokens.reveal(),
  };
}

/** Who receives, and how much: typed POSTs as those of `_post`. */
export function receiverCounts(
  { receivers, types }: IngressPlan,
  counters: Pick<IngressCounters, "counts">,
): readonly ({ readonly name: string; readonly provider: string } & Readonly<IngressCounts>)[] {
  const named = [...receivers.values()].map(({ name, provider }) => ({ name, provider: String(provider) }));
  const all = types.size > 0 ? [...named, { name: "_post", provider: "events" }] : named;
  return all.map((one) => ({ ...one, ...counters.counts(one.name) }));
}
