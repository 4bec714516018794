// The loop between the connection and the worker: frames in, bounded chunks of messages out, as they are pulled.

import type { CollectionVersion, SchemaBook, SourceMessage } from "../source.ts";
import type { TableDescription } from "./catalog.ts";
import type { Decoder } from "./decoder.ts";
import type { Unread } from "./sequencer.ts";
import type { Relation } from "./table.ts";
import type { ReplicationTransport } from "./transport.ts";

const MAX_MESSAGES = 1000;
const MAX_BYTES = 256 * 1024;

/** What must be asked and told about tables while they are decoded. */
export interface TableBook extends Pick<SchemaBook, "note"> {
  /** Asks the catalog; once for each description of a table in the log. */
  describe(
    relation: Relation,
  ): Promise<{ readonly description: TableDescription; readonly version: CollectionVersion }>;
}

/** Fills in what the log left out. */
export type FillUnread = (
  messages: readonly SourceMessage[],
  unread: readonly Unread[],
) => AsyncIterable<readonly SourceMessage[]>;

/**
 * Hands out what is there and never waits to fill a chunk. Ends only by throwing.
 * @param fill for tables that ask for it; needed where there is one
 */
export async function* decodeStream(
  transport: ReplicationTransport,
  decoder: Decoder,
  tables: TableBook,
  fill?: FillUnread,
): AsyncGenerator<readonly SourceMessage[], never> {
  const { sequencer } = decoder;
  const note = async (): Promise<void> => {
    const announcements = decoder.takeAnnouncements();
    if (announcements.length > 0) await tables.note(announcements);
  };
  for (;;) {
    let full = false;
    while (!full && transport.next()) {
      const { bytes, from, to } = transport.frames;
      const relation = decoder.decode(bytes, from, to);
      if (relation !== undefined) {
        await note(); // a version is compared with the one announced last
        const { description, version } = await tables.describe(relation);
        decoder.define(relation, description, version);
      }
      full = sequencer.full(MAX_MESSAGES, MAX_BYTES);
    }
    await note();
    const unread = sequencer.takeUnread();
    const messages = sequencer.take();
    if (unread.length > 0 && fill !== undefined) yield* fill(messages, unread);
    else if (messages.length > 0) yield messages;
    if (!full) await transport.ready();
  }
}
