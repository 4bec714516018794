// Whether a message was stored before a crash, beyond the time for which the server itself remembers ids.

import type { JetStreamManager, StoredMsg } from "@nats-io/jetstream";
import { messagesUnder } from "./streams.ts";

export const MSG_ID = "Nats-Msg-Id";
/** By so much the server's clock may be behind that of who says since when. */
const CLOCKS_DIFFER_MS = 10 * 60_000;

/**
 * The message of a subject with this `Nats-Msg-Id`, if one was stored since then; it costs a request for each message of the
 * subject from there on. @param since ms since 1970 @throws what the client does
 */
export async function storedSince(
  jsm: JetStreamManager,
  stream: string,
  { subject, id, since }: { readonly subject: string; readonly id: string; readonly since: number },
): Promise<StoredMsg | undefined> {
  const start = new Date(since - CLOCKS_DIFFER_MS);
  for await (const message of messagesUnder(jsm, stream, subject, start)) {
    if (message.header.get(MSG_ID) === id) return message;
  }
  return undefined;
}
