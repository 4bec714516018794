// The second producer of a stream beside its tail: batch after batch, each stored before the next is asked for. Killed at any
// place, the next worker asks the producer to go on behind the newest batch in the stream: docs/decisions/0017 has the argument.

import type { SourceStream, Writer } from "../bus/bus.ts";
import { BugError } from "../errors.ts";
import type { StreamMessage } from "../event/message.ts";
import type { Place } from "../event/positions.ts";
import type { CopiedRow } from "../event/source-event.ts";
import type { SideProducer } from "../source/capabilities.ts";

export interface MergeOptions {
  readonly producer: SideProducer;
  readonly writer: Pick<Writer, "progress" | "insert">;
  readonly stream: Pick<SourceStream, "encodeCopied" | "maxMessageBytes">;
  readonly signal: AbortSignal;
}

/** Ends with the signal; else throws what the producer or the writer throws. */
export async function mergeProducer({ producer, writer, stream, signal }: MergeOptions): Promise<void> {
  for await (const batch of producer.read({ after: writer.progress, signal })) {
    const { notBefore, progress } = batch;
    await writer.insert({ notBefore, progress, messages: (place) => encoded(batch.rows(), place, stream) });
  }
}

function encoded(rows: readonly CopiedRow[], place: Place, stream: MergeOptions["stream"]): readonly StreamMessage[] {
  const messages = rows.map((row) => stream.encodeCopied(row, place));
  const larger = messages.find(({ head, data }) => head.length + data.length > stream.maxMessageBytes);
  if (larger !== undefined) throw new BugError("COPIED_ROW_TOO_LARGE", `${larger.id} is larger than a message may be`);
  return messages;
}
