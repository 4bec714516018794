// The loop between the connection and the worker: frames in, bounded chunks of messages out, as they are pulled.

import type { SourceMessage } from "../source.ts";
import type { Decoder } from "./decoder.ts";
import type { ReplicationTransport } from "./transport.ts";

const MAX_MESSAGES = 1000;
const MAX_BYTES = 256 * 1024;

/**
 * Hands out what is there and never waits to fill a chunk. Ends only by throwing.
 * @param primaryKey the key's columns of a table with full replica identity, which the log cannot tell
 */
export async function* decodeStream(
  transport: ReplicationTransport,
  decoder: Decoder,
  primaryKey: (relationOid: number) => Promise<readonly string[]>,
): AsyncGenerator<readonly SourceMessage[], never> {
  const { sequencer } = decoder;
  for (;;) {
    while (transport.next()) {
      const { bytes, from, to } = transport.frames;
      const relation = decoder.decode(bytes, from, to);
      if (relation !== undefined) decoder.define(relation, await primaryKey(relation.oid));
      if (sequencer.full(MAX_MESSAGES, MAX_BYTES)) yield sequencer.take();
    }
    const messages = sequencer.take();
    if (messages.length > 0) yield messages;
    await transport.ready();
  }
}
