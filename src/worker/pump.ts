// The loop from a source to its stream: pull a chunk, put markers where rows cannot travel, hand it to the writer.

import type { SourceStream, Writer, WriterItem } from "../bus/source-stream.ts";
import type { StreamMessage } from "../event/message.ts";
import { newestOf, type Positions } from "../event/positions.ts";
import type { SourceEvent } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import type { SchemaBook } from "../schema/schema-book.ts";
import type { Ended, Poison, Source } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import { deadLetter, type PoisonPlaces, tooLarge } from "./poison.ts";
import type { Probe } from "./probe.ts";
import { type GapTeller, isTold, type ToldMessage } from "./tell-gaps.ts";
import { readAnnounced } from "./tell-schemas.ts";

/** What the pump counts; see telemetry/source-metrics.ts. */
export interface PumpCounts {
  /** @param upTo where the last of them stand */
  read(messages: number, upTo: Positions): void;
  /** Partitions are over. */
  ended(partitions: ReadonlySet<string>): void;
  poison(): void;
}

export interface PumpOptions extends PoisonPlaces {
  readonly source: SourceId;
  readonly reader: Pick<Source, "id" | "read">;
  readonly writer: Writer;
  readonly schemas: SchemaBook;
  readonly gaps: Pick<GapTeller, "tell">;
  readonly from: Positions | undefined;
  readonly stream: Pick<SourceStream, "encode" | "maxMessageBytes" | "maxHeadBytes" | "claim">;
  /** Of a body: a larger one does not travel. */
  readonly maxEventBytes: number;
  readonly counts: PumpCounts;
  readonly probe: Probe;
  readonly log: Logger;
  /** The database has agreed to send. */
  readonly onStarted: () => void;
  /** Given what ended the reading; what it resolves to is thrown instead. */
  readonly onReadingEnded: (thrown: unknown) => Promise<unknown>;
  readonly signal: AbortSignal;
}

/** Ends with the signal; else throws what the source or the writer throws. */
export async function pump(options: PumpOptions): Promise<void> {
  const { reader, writer, schemas, gaps, from, counts, probe, onStarted, onReadingEnded: onEnded, signal } = options;
  for await (const read of readAnnounced(reader, schemas, { from, signal, onStarted, onEnded })) {
    const chunk = isTold(read) ? read : await gaps.tell(read);
    const upTo = newestOf(chunk);
    if (upTo === undefined) continue;
    counts.read(chunk.length, upTo);
    if (chunk.some(isEnded)) {
      const ended = new Set(chunk.filter(isEnded).map(({ partition }) => partition));
      await schemas.ended(ended);
      counts.ended(ended);
    }
    let items: WriterItem[] = [];
    for (const one of chunk) {
      if (one.type === "commit" || one.type === "ended") {
        items.push(one);
        continue;
      }
      if (one.type === "poison") {
        items.push(await burial(one, options));
      } else {
        const message = options.stream.encode(one);
        if (fits(message, options)) {
          items.push(message);
          continue;
        }
        items.push(await instead(one, message, options));
      }
      // At once: what the writer holds it looks after when the bus may have lost what it had acknowledged.
      await writer.write(items);
      items = [];
    }
    await writer.write(items);
    probe("mid-transaction");
  }
}

function isEnded(message: ToldMessage): message is Ended {
  return message.type === "ended";
}

function fits(
  { head, data }: StreamMessage,
  { maxEventBytes, stream: { maxMessageBytes, maxHeadBytes } }: PumpOptions,
): boolean {
  return head.length + data.length <= maxMessageBytes && head.length <= maxHeadBytes && data.length <= maxEventBytes;
}

/** What goes into the stream for an event that does not fit: a message that points to its body, or the marker of its burial. */
async function instead(event: SourceEvent, message: StreamMessage, options: PumpOptions): Promise<StreamMessage> {
  const { stream, maxEventBytes, probe, signal } = options;
  if (message.head.length > stream.maxHeadBytes)
    return burial(tooLarge(event, message.head.length, "headers", stream.maxHeadBytes), options);
  if (message.data.length > maxEventBytes)
    return burial(tooLarge(event, message.data.length, "body", maxEventBytes), options);
  const pointer = await stream.claim(message, signal);
  probe("body-stored");
  return pointer;
}

async function burial(poison: Omit<Poison, "type">, options: PumpOptions): Promise<StreamMessage> {
  const marker = await deadLetter(options, poison);
  const { namespace, collection, error, sizeBytes } = poison;
  options.counts.poison();
  options.log.error("source_poison", {
    source: options.source,
    code: error.code,
    namespace,
    collection,
    sizeBytes,
    position: poison.position,
  });
  return marker;
}
