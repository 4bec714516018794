// From a receiver's section of the configuration to what judges its requests.

import { ConfigError } from "../../errors.ts";
import type { Receiver, ReceiverSection } from "./receiver.ts";

export type { Answer, Arrived, IncomingRequest, Receiver, ReceiverSection, Refused, Verdict } from "./receiver.ts";

/**
 * The receiver of a section; pure: it opens nothing and keeps nothing between requests.
 * @throws ConfigError WEBHOOK_INVALID where options do not fit the provider, or each other
 */
export function receiverOf(name: string, { provider }: ReceiverSection): Receiver {
  throw new ConfigError("WEBHOOK_INVALID", `webhooks.${name}: the provider ${provider} is not there yet`);
}
