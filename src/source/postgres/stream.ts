// The loop between the connection and the worker: frames in, bounded chunks of messages out, as they are pulled.

import type { SourceMessage } from "../source.ts";
import type { TableDescription } from "./catalog.ts";
import type { Decoder } from "./decoder.ts";
import type { Relation } from "./table.ts";
import type { ReplicationTransport } from "./transport.ts";

const MAX_MESSAGES = 1000;
const MAX_BYTES = 256 * 1024;

/**
 * Hands out what is there and never waits to fill a chunk. Ends only by throwing.
 * @param describe asks the catalog; once for each description of a table in the log
 */
export async function* decodeStream(
  transport: ReplicationTransport,
  decoder: Decoder,
  describe: (relation: Relation) => Promise<TableDescription>,
): AsyncGenerator<readonly SourceMessage[], never> {
  const { sequencer } = decoder;
  for (;;) {
    while (transport.next()) {
      const { bytes, from, to } = transport.frames;
      const relation = decoder.decode(bytes, from, to);
      if (relation !== undefined) decoder.define(relation, await describe(relation));
      if (sequencer.full(MAX_MESSAGES, MAX_BYTES)) yield sequencer.take();
    }
    const messages = sequencer.take();
    if (messages.length > 0) yield messages;
    await transport.ready();
  }
}
