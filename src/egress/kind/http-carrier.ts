// Messages that leave by HTTP: composed by kind, over connections of the endpoint's own.

import type { Endpoint } from "../../config/endpoints-schema.ts";
import { httpDialer } from "../dial/dialer.ts";
import type { Guard } from "../dial/guard.ts";
import { exchange, type HttpRequest } from "../send/exchange.ts";
import type { About, Carried, Carrier } from "./carrier.ts";
import { githubRequest, itsmRequest, pagerdutyRequest, slackRequest, webhookRequest } from "./compose.ts";

export type HttpEndpoint = Exclude<Endpoint, { readonly kind: "email" }>;

/** @param now ms since 1970 */
export function httpCarrier(endpoint: HttpEndpoint, guard: Guard, now: () => number): Carrier {
  const agent = httpDialer(guard, { connections: endpoint.concurrency, timeoutMs: endpoint.timeout });
  return {
    carry: async (message, about, signal): Promise<Carried> => {
      const answer = await exchange(agent, requestOf(endpoint, message, about), signal, now);
      return { ...answer, taken: answer.status >= 200 && answer.status < 300 };
    },
    close: () => agent.destroy(),
  };
}

function requestOf(endpoint: HttpEndpoint, message: unknown, about: About): HttpRequest {
  switch (endpoint.kind) {
    case "slack":
      return slackRequest(endpoint, message);
    case "github":
      return githubRequest(endpoint, message);
    case "pagerduty":
      return pagerdutyRequest(endpoint, message, about);
    case "itsm":
      return itsmRequest(endpoint, message, about);
    default:
      return webhookRequest(endpoint, message, about);
  }
}
