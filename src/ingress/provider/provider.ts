// From a receiver's section of the configuration to what judges its requests.

import { escapeToken } from "../../event/subject.ts";
import { type Provider, providers } from "./providers.ts";
import type { IncomingRequest, Receiver, ReceiverSection, Verdict } from "./receiver.ts";
import { keptHeaders, mediaOf, onlyHeader, refused } from "./request.ts";
import { checkSignature } from "./verify/signature.ts";
import { checkToken } from "./verify/token.ts";

export type { Arrived, IncomingRequest, Receiver, ReceiverSection, Verdict } from "./receiver.ts";

const DEFAULT_MAX_BYTES = 2 ** 20;

/** What becomes a token of a subject: a NATS server closes the connection at a line of 4 KiB. */
const MAX_TYPE_LENGTH = 768;
const MAX_ID_BYTES = 1024;

/** The receiver of a section as its schema lets it through; pure: it opens nothing and keeps nothing between requests. */
export function receiverOf(name: string, section: ReceiverSection): Receiver {
  const provider = providers[section.provider];
  const { preflight } = provider;
  const verify = verifierOf(provider, section);
  const acceptsMedia = (contentType: string | undefined): boolean => {
    const media = mediaOf(contentType);
    return media === undefined || provider.media(media);
  };
  return {
    name,
    provider: section.provider,
    maxBytes: section.maxBytes ?? provider.maxBytes ?? DEFAULT_MAX_BYTES,
    overLimit: provider.retriesOnly5xx ? 503 : 429,
    replayGuard: section.replayGuard ?? false,
    ...(section.rate ? { rate: section.rate } : {}),
    ...(preflight ? { options: (request) => preflight(section, request) } : {}),
    acceptsMedia,
    judge: (request, nowMs) => {
      // Whoever is not verified learns nothing of what would be wrong behind it.
      const refusal = verify(request, nowMs);
      if (refusal) return refusal;
      const contentType = onlyHeader(request, "content-type");
      const doubled = contentType === undefined && request.headers.has("content-type");
      if (doubled || !acceptsMedia(contentType)) return refused(415, "media");
      const own = (header: string): boolean => provider.own?.(header, section, request) ?? false;
      const headers = keptHeaders(request, own, section.header?.toLowerCase());
      return bounded(provider.read(request, headers, section));
    },
  };
}

function verifierOf(
  { scheme, tokenInQuery }: Provider,
  section: ReceiverSection,
): (request: IncomingRequest, nowMs: number) => Verdict | undefined {
  if (scheme === undefined) return (request) => checkToken(section, request, tokenInQuery === true);
  const made = scheme(section);
  return (request, nowMs) => checkSignature(made, request, nowMs);
}

/** Refuses what no subject and no header could carry: the bus would close the connection on it. */
function bounded(verdict: Verdict): Verdict {
  if (verdict.kind !== "events") return verdict;
  const long = verdict.events.some(
    ({ id = "", type }) => escapeToken(type).length > MAX_TYPE_LENGTH || Buffer.byteLength(id) > MAX_ID_BYTES,
  );
  return long ? refused(422, "event") : verdict;
}
