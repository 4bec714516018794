// The second producer of a stream beside its tail: batch after batch, each stored before the next is asked for. Killed at any
// place, the next worker asks the producer to go on behind the newest batch in the stream: docs/decisions/0017 has the argument.

import type { SourceStream, Writer } from "../bus/source-stream.ts";
import { BugError } from "../errors.ts";
import type { StreamMessage } from "../event/message.ts";
import type { Place } from "../event/positions.ts";
import type { CopiedRow } from "../event/source-event.ts";
import type { SchemaBook } from "../schema/schema-book.ts";
import type { SideProducer } from "../source/capabilities.ts";
import type { Probe } from "./probe.ts";

export interface MergeOptions {
  readonly producer: SideProducer;
  readonly writer: Pick<Writer, "progress" | "insert">;
  readonly stream: Pick<SourceStream, "encodeCopied" | "maxMessageBytes">;
  readonly schemas: Pick<SchemaBook, "describe">;
  readonly probe: Probe;
  readonly signal: AbortSignal;
}

/** Ends with the signal; else throws what the producer or the writer throws. */
export async function mergeProducer(options: MergeOptions): Promise<void> {
  const { producer, writer, stream, schemas, probe, signal } = options;
  for await (const batch of producer.read({ after: writer.progress, signal })) {
    const { notBefore, version } = batch;
    // Stored before its first row, as it is before an event; the stream is told of it with the next event of the log.
    if (version !== undefined && version.uri === undefined) await schemas.describe(version, undefined);
    probe("mid-backfill-chunk");
    await writer.insert({
      notBefore,
      messages: (place) => encoded(batch.rows(), place, stream),
      get progress() {
        return batch.progress;
      },
    });
  }
}

function encoded(rows: readonly CopiedRow[], place: Place, stream: MergeOptions["stream"]): readonly StreamMessage[] {
  const messages = rows.map((row) => stream.encodeCopied(row, place));
  const larger = messages.find(({ head, data }) => head.length + data.length > stream.maxMessageBytes);
  if (larger !== undefined) throw new BugError("COPIED_ROW_TOO_LARGE", `${larger.id} is larger than a message may be`);
  return messages;
}
