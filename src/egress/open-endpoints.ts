// The endpoints of a worker: what `send()` reaches.

import type { Registry } from "prom-client";
import { Fatal } from "../automation/outcome/outcome.ts";
import type { Endpoints, Sending } from "../automation/outcome/sending.ts";
import type { Bus } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import { type Endpoint, endpointKind } from "../config/endpoints-schema.ts";
import type { Logger } from "../telemetry/logger.ts";
import { guardOf, type Resolve } from "./dial/guard.ts";
import { OneEndpoint } from "./endpoint.ts";
import { endpointMetrics } from "./endpoint-metrics.ts";
import { NotTaken } from "./failures.ts";
import type { Carried, Carrier } from "./kind/carrier.ts";
import { textAt } from "./kind/compose.ts";
import { emailCarrier } from "./kind/email-carrier.ts";
import { httpCarrier } from "./kind/http-carrier.ts";
import { ticketEvent } from "./kind/ticket-event.ts";
import { Standings } from "./standing/standings.ts";

export interface EndpointsOptions {
  readonly endpoints: ReadonlyMap<string, { reveal(): Endpoint }>;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Registry;
  readonly signal: AbortSignal;
  /** For tests: who looks names up. */
  readonly resolve?: Resolve;
}

/** An endpoint as it is now. */
export interface EndpointStatus {
  readonly id: string;
  readonly kind: string;
  readonly state: "open" | "paused" | "disabled";
  /** Who changed it, when and why; absent before the first change. */
  readonly by?: string;
  readonly at?: string;
  readonly reason?: string;
  /** Requests that failed one behind the other, and for how long. */
  readonly failing?: { readonly count: number; readonly forMs: number };
}

export interface OpenEndpoints extends Endpoints {
  status(): readonly EndpointStatus[];
  close(): Promise<void>;
}

/** Looks how they stand until the signal; connects to none before something is sent. */
export function openEndpoints(options: EndpointsOptions): OpenEndpoints {
  const { endpoints, bus, clock, log, registry, signal, resolve } = options;
  const standings = new Standings({ bus, names: [...endpoints.keys()], clock, log, signal });
  const states = (): (readonly [string, string])[] =>
    [...endpoints.keys()].map((name) => [name, standings.of(name)?.state ?? "open"] as const);
  const countsOf = endpointMetrics(registry, states);
  const carriers: Carrier[] = [];
  const open = [...endpoints].map(([name, section]) => {
    const config = section.reveal();
    const guard = guardOf(name, { allowPrivate: config.allowPrivate, resolve });
    const carrier =
      config.kind === "email" ? emailCarrier(config, guard) : httpCarrier(config, guard, () => clock.wall());
    carriers.push(carrier);
    const taken = async (carried: Carried, sending: Sending, id: string): Promise<void> => {
      if (config.kind !== "itsm") return;
      const ticket = textAt(carried.text, config.ticket);
      // Without it later events would not find the ticket: asked once more, under the same key.
      if (ticket === undefined) throw new NotTaken(name, carried.status, carried.text);
      await sending.publish(ticketEvent({ endpoint: name, ticket, id, sending, at: clock.wall() }));
    };
    const parts = { name, config, carrier, standings, counts: countsOf(name), clock, instance: bus.instance, taken };
    return [name, endpointKind(config), new OneEndpoint(parts)] as const;
  });
  const byName = new Map(open.map(([name, , one]) => [name, one]));
  if (endpoints.size > 0) void standings.watch();
  return {
    send: async (sending) => {
      const one = byName.get(sending.endpoint);
      if (one === undefined) throw new Fatal(`the configuration has no endpoint ${sending.endpoint}`);
      await one.send(sending);
    },
    status: () =>
      open.map(([id, kind, one]) => {
        const { state = "open", by, at, reason } = standings.of(id) ?? {};
        const { failing } = one;
        return {
          ...{ id, kind, state },
          ...(by !== undefined && { by }),
          ...(at !== undefined && { at }),
          ...(reason !== undefined && { reason }),
          ...(failing && { failing }),
        };
      }),
    close: async () => void (await Promise.allSettled(carriers.map((carrier) => carrier.close()))),
  };
}
