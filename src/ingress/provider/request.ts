// What of a request's headers and body every provider reads the same.

import { isObject, readJson, type Span } from "./json-text.ts";
import type { IncomingRequest, RefusalReason, Refused } from "./receiver.ts";

export function refused(status: Refused["status"], reason: RefusalReason): Refused {
  return { kind: "refused", status, reason };
}

/** A header's value where it stands there once; a doubled one is nobody's word. @param name in lower case */
export function onlyHeader({ headers }: IncomingRequest, name: string): string | undefined {
  const values = headers.get(name);
  return values?.length === 1 ? values[0] : undefined;
}

/** `application/json` of `Application/JSON; charset=utf-8`; undefined without a content type. */
export function mediaOf(contentType: string | undefined): string | undefined {
  const media = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  return media === "" ? undefined : media;
}

export function isJsonMedia(media: string): boolean {
  return media === "application/json" || media === "text/json" || /^application\/[^/]+\+json$/.test(media);
}

/** Never kept, whatever a provider's own headers are called. */
const secret = /^(?:proxy-)?authorization$|cookie|signature|hmac|token|secret|password|api-?key/;

/**
 * The content type and the headers that a provider calls its own; of doubled ones the values, joined as HTTP has it.
 * @param own a name in lower case; @param except the header that signs
 */
export function keptHeaders(
  { headers }: IncomingRequest,
  own: (name: string) => boolean,
  except: string | undefined,
): Readonly<Record<string, string>> {
  const kept = [...headers].filter(
    ([name]) => name === "content-type" || (own(name) && name !== except && !secret.test(name)),
  );
  return Object.fromEntries(kept.map(([name, values]) => [name, values.join(", ")]));
}

/** A body as JSON, or as the bytes that it is. */
export interface Content {
  /** Undefined: it is no JSON. */
  readonly json: Span | undefined;
}

/**
 * What a body is by its content type; without one it is JSON where `json` says that the provider sends nothing else, or where it
 * can be read as such.
 * @returns a refusal for what is called JSON and is none, and for what is no object where `object` says that it must be one
 */
export function contentOf(
  request: IncomingRequest,
  { json = false, object = false }: { readonly json?: boolean; readonly object?: boolean },
): Content | Refused {
  const media = mediaOf(onlyHeader(request, "content-type"));
  if (media !== undefined && !isJsonMedia(media)) return { json: undefined };
  const value = readJson(request.body);
  if (value === "malformed") {
    return media === undefined && !json ? { json: undefined } : refused(400, "body");
  }
  if (value === "deep") return refused(422, "depth");
  return object && !isObject(request.body, value) ? refused(400, "event") : { json: value };
}
