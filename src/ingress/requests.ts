// A request as the providers read it: all lines of its headers, as they came.

import type { IncomingMessage } from "node:http";
import type { IncomingRequest } from "./provider/provider.ts";

const NO_BODY = Buffer.alloc(0);

/** Without its body, which is not read yet. */
export function incomingRequest(request: IncomingMessage): IncomingRequest {
  const { path, query } = targetOf(request.url ?? "");
  return {
    method: request.method ?? "",
    path,
    query: new URLSearchParams(query),
    headers: headersOf(request),
    body: NO_BODY,
  };
}

/** The path as it was written: nothing is decoded, so no name has a second spelling. */
export function targetOf(url: string): { readonly path: string; readonly query: string } {
  const at = url.indexOf("?");
  return at < 0 ? { path: url, query: "" } : { path: url.slice(0, at), query: url.slice(at + 1) };
}

function headersOf({ rawHeaders }: IncomingMessage): ReadonlyMap<string, readonly string[]> {
  const headers = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    const value = rawHeaders[at + 1] as string;
    const known = headers.get(name);
    if (known === undefined) headers.set(name, [value]);
    else known.push(value);
  }
  return headers;
}
