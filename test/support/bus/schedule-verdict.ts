// What is wrong at the end of a random schedule: the stream and a consumer, held against what was committed.

import type { Position } from "../../../src/event/position.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Stored } from "./scripted-bus.ts";

/** What is made of all that a stream holds: again only where that has changed. Messages only come at its end, and are lost there. */
export function ofMessages<T>(
  server: { readonly messages: readonly Stored[] },
  make: (messages: readonly Stored[]) => T,
): () => T {
  let made: { readonly of: Stored | undefined; readonly value: T } | undefined;
  return () => {
    const newest = server.messages.at(-1);
    if (made === undefined || made.of !== newest) made = { of: newest, value: make(server.messages) };
    return made.value;
  };
}

/** What is wrong with the changes that were stored of each partition; undefined when they are what was wanted. */
export function wrongPartition(
  changes: readonly Stored[],
  partitions: readonly (string | undefined)[],
  wanted: readonly (readonly Position[])[],
): string | undefined {
  for (const [nth, partition] of partitions.entries()) {
    const events = changes.filter(({ headers }) => headers.get("Cdc-Part") === partition);
    const stored = events.map(({ headers }) => headers.get("Cdc-Pos") as Position);
    const wrong = wrongOrder(wanted[nth] ?? [], stored);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** An event that stands before one of the partition behind whose end its own begins; undefined where there is none. */
export function childBeforeParent(
  changes: readonly Stored[],
  parents: Readonly<Record<string, string>>,
): string | undefined {
  const parts = changes.map(({ headers }) => headers.get("Cdc-Part"));
  for (const [child, parent] of Object.entries(parents)) {
    const first = parts.indexOf(child);
    if (first >= 0 && first < parts.lastIndexOf(parent))
      return `${child} begins at ${changes[first]?.headers.get("Cdc-Pos")}, before all of ${parent} is there`;
  }
  return undefined;
}

/** What is wrong with what was stored of a partition, in the stream's order; undefined when it is what was wanted. */
function wrongOrder(wanted: readonly Position[], stored: readonly Position[]): string | undefined {
  const missing = wanted.filter((position) => !stored.includes(position));
  if (missing.length > 0) return `${missing.length} missing in the stream, the first is ${missing[0]}`;
  const doubled = stored.filter((position, index) => stored.indexOf(position) !== index);
  if (doubled.length > 0) return `${doubled.length} doubled in the stream, the first is ${doubled[0]}`;
  const swapped = stored.find((position, index) => position !== wanted[index]);
  return swapped === undefined ? undefined : `out of order at ${swapped}`;
}

/** What a consumer missed; behind a loss it may have seen some twice. */
export function unseen(wanted: readonly Position[], seen: readonly string[], powerLoss: boolean): string | undefined {
  const missed = wanted.filter((position) => !seen.includes(position));
  if (missed.length > 0) return `the consumer never saw ${missed.length} events, the first is ${missed[0]}`;
  if (!powerLoss && seen.length !== wanted.length) return `the consumer saw ${seen.length} events of ${wanted.length}`;
  return undefined;
}

/** Each lost number must be told of by a `history` marker behind it. */
export function unsaidLoss(messages: readonly Stored[], source: SourceId): string | undefined {
  const told = messages.flatMap(({ subject, data }, index) => {
    if (subject !== `meta.${source}.history`) return [];
    const { lost } = JSON.parse(Buffer.from(data).toString()) as { readonly lost: { from: number; to: number } };
    return [{ ...lost, seq: index + 1 }];
  });
  const unsaid = messages.findIndex(({ subject }, index) => {
    const seq = index + 1;
    return (
      subject === `meta.${source}.lost` && !told.some((said) => said.from <= seq && seq <= said.to && seq < said.seq)
    );
  });
  return unsaid < 0 ? undefined : `no history marker tells of the lost number ${unsaid + 1}`;
}
