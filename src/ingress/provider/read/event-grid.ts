// Azure Event Grid's own schema: an array of events, or the question whether this address wants any.

import { isObject, type Span, stringAt } from "../json-text.ts";
import type { Arrived, Verdict } from "../receiver.ts";
import { refused } from "../request.ts";
import { eventsOrNone } from "./events-or-none.ts";
import type { Headers } from "./one-event.ts";
import { sourceAndId } from "./source-and-id.ts";

const VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent";

/** The request is verified: its code is told to nobody who does not know the token. */
export function readEventGrid(body: Buffer, elements: readonly Span[], headers: Headers): Verdict {
  const [first] = elements;
  if (first && isObject(body, first) && stringAt(body, first, "/eventType") === VALIDATION) {
    const code = stringAt(body, first, "/data/validationCode");
    if (code === undefined || elements.length > 1) return refused(400, "event");
    const answer = JSON.stringify({ validationResponse: code });
    return { kind: "answer", status: 200, contentType: "application/json", body: answer };
  }
  const events = elements.flatMap((element) => gridEvent(body, element, headers) ?? []);
  return events.length === elements.length ? eventsOrNone(events) : refused(400, "event");
}

function gridEvent(body: Buffer, value: Span, headers: Headers): Arrived | undefined {
  if (!isObject(body, value)) return undefined;
  const [id, type, topic = ""] = ["id", "eventType", "topic"].map((name) => stringAt(body, value, `/${name}`));
  if (!id || !type) return undefined;
  const json = body.subarray(value.from, value.to);
  return { id: sourceAndId(topic, id), type, json, raw: undefined, headers };
}
