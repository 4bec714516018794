// The loop between the connection and the worker: frames in, bounded chunks of messages out, as they are pulled.

import type { SourceMessage } from "../../source.ts";
import type { CompositeStates } from "../client/composite-states.ts";
import type { ReplicationTransport } from "../replication/transport.ts";
import type { Decoder } from "./decoder.ts";
import type { Definition } from "./described-tables.ts";
import type { RowMissingToast } from "./sequencer.ts";
import type { Relation } from "./table.ts";

const MAX_MESSAGES = 1000;
const MAX_BYTES = 256 * 1024;

/** What must be asked and told about tables while they are decoded. */
export interface TableBook {
  /** Asks the catalog; once for each description of a table in the log. @param at where the change stands that asks */
  describe(relation: Relation, at: bigint | undefined): Promise<Definition>;
  /** What is looked at between rows; undefined where no catalog is asked. */
  readonly composites?: CompositeStates | undefined;
}

/** Fills in what the log left out. */
export type FillUnread = (
  messages: readonly SourceMessage[],
  unread: readonly RowMissingToast[],
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
  const { composites } = tables;
  const take = (): { readonly messages: readonly SourceMessage[]; readonly filled?: ReturnType<FillUnread> } => {
    const unread = sequencer.takeMissingToast();
    const messages = sequencer.take();
    return unread.length > 0 && fill !== undefined ? { messages, filled: fill(messages, unread) } : { messages };
  };
  for (;;) {
    let full = false;
    while (!full && transport.next()) {
      const { bytes, from, to } = transport.frames;
      composites?.step();
      for (;;) {
        const question = decoder.decode(bytes, from, to);
        if (question === undefined) break;
        if (question.at !== undefined && composites?.coversFrame === false) {
          await composites.observe(transport.frames.count);
          continue;
        }
        if (sequencer.hasDescription) {
          const { messages, filled } = take(); // a key may be asked for as the stream was told last
          if (filled !== undefined) yield* filled;
          else yield messages;
        }
        decoder.define(question.relation, await tables.describe(question.relation, question.at));
        if (question.at === undefined) break;
      }
      full = sequencer.full(MAX_MESSAGES, MAX_BYTES);
    }
    const { messages, filled } = take();
    if (filled !== undefined) yield* filled;
    else if (messages.length > 0) yield messages;
    if (full) continue;
    // The next row may be the first one after ALTER TYPE: looked at before it, its names are certain.
    if (composites?.isBehind === true) await composites.observe(transport.frames.count);
    await transport.ready();
  }
}
