// What is published past the client: header blocks that are bytes already, and answers as the server words them.

import type { Msg, MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { TransientError } from "../../../errors.ts";
import { type Encoded, type PublishAck, PublishRefused } from "./port.ts";

/**
 * Puts messages onto the socket, in their order; only the last one asks for an answer.
 * @throws what the client throws: it is closed, or a message is larger than the server takes
 */
export function publishRaw(nc: NatsConnection, messages: readonly Encoded[], reply: string): void {
  const block = new PrebuiltHeaders();
  const options = { headers: block as unknown as MsgHdrs };
  messages.forEach(({ subject, headers, data }, index) => {
    block.bytes = headers; // read within `publish`, so that one object serves all
    nc.publish(subject, data, index === messages.length - 1 ? { ...options, reply } : options);
  });
}

/** Of a few characters, without header lines. */
export interface ShortMessage {
  readonly subject: string;
  readonly text: string;
  /** Where an answer to it is to go. */
  readonly reply?: string | undefined;
}

/**
 * Puts short messages onto the socket, in their order and in one piece: the client's own `publish` makes three pieces of each, and
 * looks at each subject. Call it on a connection that is neither closed nor draining, with subjects that a server has made.
 */
export function publishShort(nc: NatsConnection, messages: readonly ShortMessage[]): void {
  let piece = "";
  for (const { subject, text, reply } of messages) {
    const to = reply === undefined ? subject : `${subject} ${reply}`;
    piece += `PUB ${to} ${Buffer.byteLength(text)}\r\n${text}\r\n`;
  }
  (nc as NatsConnection & Pieces).protocol.sendCommand(piece);
}

/** Of the client's connection, what its type leaves out: takes a piece of the protocol as it is. */
interface Pieces {
  readonly protocol: { sendCommand(piece: string): void };
}

/** What the server says to a publish. @throws PublishRefused; TransientError when no stream took it */
export function parseAck(message: Msg): PublishAck {
  if (message.headers?.code === 503) throw noStream();
  const body = message.json<AckBody>();
  if (body.error) throw new PublishRefused(body.error.err_code, `${body.error.description} (${body.error.err_code})`);
  if (body.seq === undefined) throw away("an acknowledgement without a sequence");
  return { seq: body.seq, batch: body.batch, count: body.count ?? 1 };
}

/** What was sent may be stored or not. */
export function away(what: string): TransientError {
  return new TransientError("BUS_INTERRUPTED", what, { hint: "the writer finds out what was stored and goes on" });
}

function noStream(): TransientError {
  return new TransientError("BUS_NO_STREAM", "no stream took the message: it has no leader, or is gone", {
    hint: "see that nats-server has a JetStream leader for the stream; it is tried again",
  });
}

/** Header lines that are bytes already, in the one shape that the client asks of headers when it publishes. */
class PrebuiltHeaders {
  bytes: Uint8Array = new Uint8Array();

  encode(): Uint8Array {
    return this.bytes;
  }
}

interface AckBody {
  readonly error?: { readonly err_code: number; readonly description: string };
  readonly seq?: number;
  readonly batch?: string;
  readonly count?: number;
}
