// Tells the stream of each version of a collection, directly before the first event of it: docs/decisions/0005 has the argument.

import type { Position } from "../event/position.ts";
import type { Marker } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import type { SchemaBook } from "../schema/schema-book.ts";
import type { Description, Source, SourceMessage } from "../source/source.ts";

/** What a source hands out once its descriptions are dealt with. */
export type AnnouncedMessage = Exclude<SourceMessage, Description>;

export type AnnouncedOptions = Parameters<Source["read"]>[0] & {
  /** Given what the reading threw; what it resolves to is thrown instead. */
  readonly onEnded: (thrown: unknown) => Promise<unknown>;
};

/**
 * Reads a source with a marker in the place of each description that the stream lacks, and nothing in the place of all others.
 * A chunk comes out only when the book that has its markers is stored.
 * @throws FencedError, and what the source throws
 */
export async function* readAnnounced(
  reader: Pick<Source, "id" | "read">,
  book: SchemaBook,
  options: AnnouncedOptions,
): AsyncGenerator<readonly AnnouncedMessage[], void> {
  await book.open(options.from);
  try {
    for await (const chunk of reader.read(options)) {
      const told = chunk.some(isDescription) ? await announced(reader.id, book, chunk) : chunk;
      if (told.length > 0) yield told as readonly AnnouncedMessage[];
    }
  } catch (error) {
    throw await options.onEnded(error);
  }
}

async function announced(
  source: SourceId,
  book: SchemaBook,
  chunk: readonly SourceMessage[],
): Promise<readonly AnnouncedMessage[]> {
  const told: AnnouncedMessage[] = [];
  for (const message of chunk) {
    if (!isDescription(message)) {
      told.push(message);
      continue;
    }
    const { version, partition, position, transaction } = message;
    const data = await book.describe(version, position, partition);
    if (data !== undefined) told.push(markerOf(source, position as Position, { transaction, partition, data }));
  }
  await book.store();
  return told;
}

function markerOf(
  source: SourceId,
  position: Position,
  rest: Pick<Marker, "transaction" | "partition" | "data">,
): Marker {
  return { type: "marker", kind: "schema", id: `${source}.${position}`, position, ...rest };
}

function isDescription(message: SourceMessage): message is Description {
  return message.type === "described";
}
