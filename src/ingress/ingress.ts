// The way in: puts together who listens, who decides and who stores.

import type { Clock } from "../clock.ts";
import type { IngressSection } from "../config/ingress-schema.ts";
import type { IngressMetrics } from "../telemetry/ingress-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import { ByteBudget } from "./body.ts";
import { Handler } from "./handle.ts";
import { type Listener, listen } from "./listen.ts";
import type { IngressPlan } from "./plan.ts";
import { PostTarget } from "./post-target.ts";
import { RateLimit } from "./rate-limit.ts";
import type { StoreOptions } from "./store.ts";
import type { Target } from "./target.ts";
import { WebhookTarget } from "./webhook-target.ts";

export interface IngressOptions extends StoreOptions {
  readonly section: IngressSection;
  readonly plan: IngressPlan;
  readonly metrics: IngressMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** All bodies together, until what is in them is stored. A body is held two or three times while it is judged. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Listens, and stores what comes. @throws ConfigError INGRESS_PORT_IN_USE, INGRESS_ADDRESS_UNUSABLE */
export async function startIngress({ section, plan, ...options }: IngressOptions): Promise<Listener> {
  const { metrics, clock, log } = options;
  const targets = targetsOf(plan, clock, log);
  const handler = new Handler({
    ...options,
    targetAt: (path) => targets.get(path),
    addresses: new RateLimit(section.addressRate, clock),
    budget: new ByteBudget(MOST_BYTES),
  });
  const { host, port } = section;
  return await listen({
    ...{ host, port, clock, log },
    handle: (request, response, connection) => handler.handle(request, response, connection),
    refused: (reason) => metrics.refused("", reason),
  });
}

/** By path, as it must be written. */
function targetsOf({ receivers, types, tokens }: IngressPlan, clock: Clock, log: Logger): ReadonlyMap<string, Target> {
  return new Map<string, Target>([
    ...[...receivers].map(([name, receiver]) => [`/in/${name}`, new WebhookTarget(receiver, clock)] as const),
    ...[...types].map(
      ([type, check]) => [`/events/${type}`, new PostTarget({ type, check, tokens, clock, log })] as const,
    ),
  ]);
}
