// Tokens and passwords, for who does not sign.

import type { IncomingRequest, ReceiverSection, Refused } from "../receiver.ts";
import { onlyHeader, refused } from "../request.ts";
import { sameText } from "./same-text.ts";

/**
 * Undefined when the request brings one of the section's tokens or passwords: `Authorization: Bearer <token>`, `Basic <base64>`.
 * @param inQuery whether `?access_token=` will do where there is no such header (CloudEvents' http-webhook 3.2)
 */
export function checkToken(
  { bearer = [], basic = [] }: ReceiverSection,
  request: IncomingRequest,
  inQuery: boolean,
): Refused | undefined {
  const given = request.headers.has("authorization")
    ? credentialsOf(onlyHeader(request, "authorization"))
    : inQuery
      ? queryToken(request)
      : undefined;
  if (given === undefined) return refused(401, "token");
  // The text is compared, not what it decodes to: nothing that is no base64 is passed over.
  const wanted = given.scheme === "bearer" ? bearer : basic.map((text) => Buffer.from(text).toString("base64"));
  let right = false;
  for (const text of wanted) right = sameText(given.text, text) || right;
  return right ? undefined : refused(401, "token");
}

interface Credentials {
  readonly scheme: "bearer" | "basic";
  readonly text: string;
}

function credentialsOf(header: string | undefined): Credentials | undefined {
  const [, scheme, text] = /^(bearer|basic) +(\S+)$/i.exec(header ?? "") ?? [];
  if (scheme === undefined || text === undefined) return undefined;
  return { scheme: scheme.toLowerCase() as Credentials["scheme"], text };
}

function queryToken({ query }: IncomingRequest): Credentials | undefined {
  const [token, ...more] = query.getAll("access_token");
  return token && more.length === 0 ? { scheme: "bearer", text: token } : undefined;
}
