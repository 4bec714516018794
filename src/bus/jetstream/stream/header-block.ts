// A message's header lines as text, taken apart only where somebody asks: the client's own headers cost more than all
// the rest of a delivery.

import type { Msg } from "@nats-io/transport-node";

const opening = "NATS/1.0";

/**
 * The lines, from the version on; undefined when the message has none, or they are not where they should be.
 * @param data the message's own, which the client cuts out anew each time it is asked
 */
export function headerBlock(message: Msg, data: Uint8Array): string | undefined {
  const { subject, reply = "" } = message;
  // The client's type leaves `size` out: of subject, reply, header lines and body together; the last two lie side by side.
  const { size } = message as Msg & { readonly size?: () => number };
  if (size === undefined) return undefined;
  const bytes = size.call(message) - subject.length - reply.length - data.length;
  if (bytes <= opening.length || bytes > data.byteOffset) return undefined;
  const block = Buffer.from(data.buffer, data.byteOffset - bytes, bytes).toString("utf8");
  return block.startsWith(opening) ? block : undefined;
}

/** The first value of a header, named exactly so; undefined when it is not there. */
export function headerValue(block: string, name: string): string | undefined {
  const start = block.indexOf(`\r\n${name}:`);
  if (start < 0) return undefined;
  const from = start + name.length + 3;
  const value = block.slice(block.charAt(from) === " " ? from + 1 : from, block.indexOf("\r\n", from));
  return value.startsWith(" ") || value.endsWith(" ") ? value.trim() : value;
}
