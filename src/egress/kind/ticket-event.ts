// `ticket.created`: a ticket that a desk made for an event, as a domain event that automations hear of like any other.

import type { Sending } from "../../automation/outcome/sending.ts";
import { postedEvent } from "../../event/posted-event.ts";
import type { WorkerEvent } from "../../event/worker-event.ts";

export const TICKET_CREATED = "ticket.created";

/** @param id `webhook-id`: one ticket event for it, however often it is told @param at ms since 1970 */
export function ticketEvent({
  endpoint,
  ticket,
  id,
  sending,
  at,
}: {
  readonly endpoint: string;
  readonly ticket: string;
  readonly id: string;
  readonly sending: Pick<Sending, "automation" | "event">;
  readonly at: number;
}): WorkerEvent {
  const { type } = sending.event as { readonly type?: unknown };
  const cause = { id: sending.event.id, ...(typeof type === "string" && { type }) };
  const data = { endpoint, ticket, automation: sending.automation, event: cause };
  return postedEvent(TICKET_CREATED, id, Buffer.from(JSON.stringify(data)), new Date(at).toISOString());
}
