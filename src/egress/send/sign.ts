// Standard Webhooks: how a message is named and signed. The scheme is v1: HMAC-SHA256 over `<id>.<timestamp>.<body>`, in base64.

import { createHash, createHmac } from "node:crypto";
import type { Sending } from "../../automation/outcome/sending.ts";

/**
 * `webhook-id`: the same for each attempt at an event, from whichever worker, and another one for another automation (which may say
 * something else of the event) and for a replay (which is meant to act again). It holds no dot: what is signed is joined by dots.
 */
export function webhookId({
  key,
  endpoint,
  automation,
  run = "",
}: Pick<Sending, "key" | "endpoint" | "automation" | "run">): string {
  const hash = createHash("sha256").update(JSON.stringify([key, endpoint, automation, run]));
  return `msg_${hash.digest("hex").slice(0, 40)}`;
}

/** @param keys each of them signs @param at seconds since 1970, of this attempt */
export function signedHeaders(
  keys: readonly Buffer[],
  { id, at, body }: { readonly id: string; readonly at: number; readonly body: string },
): Readonly<Record<string, string>> {
  const names = { "webhook-id": id, "webhook-timestamp": String(at) };
  if (keys.length === 0) return names;
  const signature = (key: Buffer): string =>
    `v1,${createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64")}`;
  return { ...names, "webhook-signature": keys.map(signature).join(" ") };
}
