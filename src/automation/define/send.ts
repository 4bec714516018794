// `send()`: a handler that gives each event to an endpoint, which the worker reaches.

import { ConfigError } from "../../errors.ts";
import { isSkip, type Skip } from "../outcome/outcome.ts";
import { sending } from "../outcome/sending.ts";
import type { Handler, HandlerContext } from "./automation.ts";
import { effectsOf } from "./effects.ts";
import type { AnyEvent } from "./trigger.ts";

/** A message of Standard Webhooks; an endpoint of another kind takes what its kind does. */
export interface OutgoingMessage {
  /** What happened: `order.created`. */
  readonly type: string;
  /** When, RFC 3339. Default: the event's time. */
  readonly timestamp?: string;
  readonly data: unknown;
}

/**
 * A handler that sends each event to an endpoint of the configuration: `automation("orders-to-crm", { on: shop.orders.created() },
 * send("crm", ({ event }) => ({ type: "order.created", data: event.after })))`. At least once, under one `webhook-id` for an event.
 * @param build makes the message, the same one each time that it is called with an event; `skip("why")` sends nothing. Default: the
 * event's type, time and data.
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function send<Event = AnyEvent, Client = unknown>(
  endpoint: string,
  build?: (context: HandlerContext<Event, Client>) => unknown,
): Handler<Event, Client> {
  if (typeof endpoint !== "string" || (build !== undefined && typeof build !== "function")) {
    throw new ConfigError("AUTOMATION_INVALID", "send() takes the name of an endpoint, and a function", {
      hint: 'write send("crm", ({ event }) => ({ type: "order.created", data: event.after }))',
    });
  }
  const handler = async (context: HandlerContext<Event, Client>): Promise<Skip | undefined> => {
    const message: unknown = build === undefined ? messageOf(context.event) : await build(context);
    if (isSkip(message)) return message;
    await effectsOf(context).send(endpoint, message);
    return undefined;
  };
  return Object.assign(handler, { [sending]: { endpoint, built: build !== undefined } });
}

/** What is sent of an event that nobody builds a message of: a change without its envelope, what a webhook brought, or the data. */
function messageOf(event: unknown): OutgoingMessage {
  const { type = "event", time, ...rest } = event as Readonly<Record<string, unknown>>;
  const head = { type: String(type), ...(typeof time === "string" && { timestamp: time }) };
  if ("op" in rest) {
    const { source, namespace, collection, op, key, before, after } = rest;
    return { ...head, data: { source, namespace, collection, op, key, before, after } };
  }
  return { ...head, data: "data" in rest ? rest.data : "body" in rest ? (rest.body ?? rest.raw) : rest };
}
