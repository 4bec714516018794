// CloudEvents' http-webhook 4: a sender asks by OPTIONS whether it may send here. Nobody can sign that, and it gives nothing away.

import type { Answer, IncomingRequest, ReceiverSection } from "../receiver.ts";
import { onlyHeader } from "../request.ts";

const MINUTE_MS = 60_000;

/** Grants the origin that asks, and the receiver's rate in requests a minute; `WebHook-Request-Callback` is not called. */
export function grantOrigin({ rate }: ReceiverSection, request: IncomingRequest): Answer {
  const origin = onlyHeader(request, "webhook-request-origin");
  const limit = rate ? String(Math.max(1, Math.floor((rate.limit * MINUTE_MS) / rate.perMs))) : "*";
  const granted = origin ? { "webhook-allowed-origin": origin, "webhook-allowed-rate": limit } : {};
  const headers = { allow: "POST, OPTIONS", ...granted };
  return { kind: "answer", status: 200, headers, contentType: "text/plain; charset=utf-8", body: "" };
}
