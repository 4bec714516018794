// Requests that are one event each.

import { type Span, textAt } from "../json-text.ts";
import type { Arrived, IncomingRequest, Place, Verdict } from "../receiver.ts";
import { contentOf, mediaOf, onlyHeader } from "../request.ts";

/** What a provider's requests are like once they are verified. */
export interface OneEvent {
  readonly id?: Place | undefined;
  readonly type?: Place | undefined;
  /** Without a content type it is JSON too. */
  readonly json?: boolean;
  /** JSON of it is always an object. */
  readonly object?: boolean;
  /** Its forms have, as fields, what its JSON has as members. */
  readonly form?: boolean;
}

/** Kept with each event of a request. */
export type Headers = Arrived["headers"];

/** The type of what has none. */
export const NO_TYPE = "_";

export function readOneEvent(how: OneEvent, request: IncomingRequest, headers: Headers): Verdict {
  const content = contentOf(request, how);
  if ("kind" in content) return content;
  const { json } = content;
  const form = how.form === true && json === undefined ? formOf(request) : undefined;
  const at = (place: Place | undefined): string | undefined => textIn(request, json, form, place);
  const event = { id: at(how.id), type: at(how.type) ?? NO_TYPE, ...bodyOf(request, json), headers };
  return { kind: "events", events: [event] };
}

/** The bytes as they came, as what they are. */
export function bodyOf({ body }: IncomingRequest, json: Span | undefined): Pick<Arrived, "json" | "raw"> {
  return json ? { json: body, raw: undefined } : { json: undefined, raw: body };
}

/** The fields of a form; undefined for other bodies. */
export function formOf(request: IncomingRequest): URLSearchParams | undefined {
  const form = mediaOf(onlyHeader(request, "content-type")) === "application/x-www-form-urlencoded";
  return form ? new URLSearchParams(request.body.toString("utf8")) : undefined;
}

function textIn(
  request: IncomingRequest,
  json: Span | undefined,
  form: URLSearchParams | undefined,
  place: Place | undefined,
): string | undefined {
  if (place === undefined) return undefined;
  if ("header" in place) return onlyHeader(request, place.header.toLowerCase()) || undefined;
  if (json) return textAt(request.body, json, place.pointer);
  return form?.get(place.pointer.slice(1)) || undefined;
}
