// The loop from a source to its stream: pull a chunk, put markers where rows cannot travel, hand it to the writer.

import type { Writer } from "../bus/bus.ts";
import type { StreamMessage } from "../event/message.ts";
import type { Position } from "../event/position.ts";
import type { SourceId } from "../event/source-id.ts";
import type { Commit, Source, SourceMessage } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import { bury, type PoisonPlaces, tooLarge } from "./poison.ts";
import type { Probe } from "./probe.ts";

/** What the pump counts; see telemetry/metrics. */
export interface PumpCounts {
  /** @param upTo the position of the last of them */
  read(messages: number, upTo: Position): void;
  poison(): void;
}

export interface PumpOptions extends PoisonPlaces {
  readonly source: SourceId;
  readonly reader: Source;
  readonly writer: Writer;
  readonly from: Position | undefined;
  readonly maxMessageBytes: number;
  readonly counts: PumpCounts;
  readonly probe: Probe;
  readonly log: Logger;
  /** The database has agreed to send. */
  readonly onStarted: () => void;
  readonly signal: AbortSignal;
}

/** Ends with the signal; else throws what the source or the writer throws. */
export async function pump(options: PumpOptions): Promise<void> {
  const { reader, writer, from, counts, probe, onStarted, signal } = options;
  for await (const chunk of reader.read({ from, signal, onStarted })) {
    const last = chunk.at(-1);
    if (last === undefined) continue;
    counts.read(chunk.length, last.position);
    const items: (StreamMessage | Commit)[] = [];
    for (const message of chunk) items.push(fits(message, options) ? message : await burial(message, options));
    await writer.write(items);
    probe("mid-transaction");
  }
}

function fits(message: SourceMessage, { maxMessageBytes }: PumpOptions): message is StreamMessage | Commit {
  if (message.type === "message") return message.head.length + message.data.length <= maxMessageBytes;
  return message.type === "commit";
}

async function burial(message: SourceMessage, options: PumpOptions): Promise<StreamMessage> {
  const poison =
    message.type === "message"
      ? tooLarge(message, options.maxMessageBytes)
      : (message as Exclude<typeof message, Commit>);
  const marker = await bury(options, poison);
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
