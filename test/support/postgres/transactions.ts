// What a source hands to a writer, made by hand: transactions of small events at numbered places.

import type { StreamMessage } from "../../../src/event/message.ts";
import { isComplete, type Position } from "../../../src/event/position.ts";
import { type Positions, positionsAt } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { messageMaker, ordersCreated } from "../bus/encoded.ts";
import type { StreamEvent } from "../bus/stream-events.ts";

const hex = (n: number): string => n.toString(16).padStart(16, "0");

/** The place of the `change`th change of the transaction that ends at `final`; `+` at its end when it is the last one. */
export function place(final: number, change = 0, last = true): Position {
  return `0001.${hex(final)}.${hex(change)}.r000000${last ? "+" : ""}` as Position;
}

/** How far a source is that has no partitions. */
export function reached(position: Position): Positions {
  return positionsAt({ position });
}

export interface TransactionOptions {
  /** Bytes of each body. */
  readonly bytes?: number;
  /** False leaves the end of the transaction away. */
  readonly whole?: boolean;
}

/** The events of one transaction, which ends at `final`. */
export function transaction(
  source: SourceId,
  final: number,
  count = 1,
  { bytes = 0, whole = true }: TransactionOptions = {},
): StreamMessage[] {
  const make = messageMaker(source);
  return Array.from({ length: count }, (_, n) => {
    const key = `${final}-${n}`;
    const after = { id: key, text: "x".repeat(bytes) };
    return make({
      kind: ordersCreated,
      lane: "p03",
      key,
      transaction: String(final),
      time: "2026-01-01T00:00:00.000001Z",
      position: place(final, n, whole && n === count - 1),
      data: Buffer.from(JSON.stringify({ op: "created", key: { id: key }, before: null, after })),
    });
  });
}

/** The positions of a stream's events, markers left out. */
export function positionsOf(stream: readonly StreamEvent[]): readonly (string | undefined)[] {
  return stream.filter(({ subject }) => subject.startsWith("cdc.")).map(({ header }) => header("Cdc-Pos"));
}

/** What is wrong with how messages say where they stand: a place that falls, a batch that does not name its predecessor. */
export function brokenLinks(stream: readonly StreamEvent[]): readonly string[] {
  let newest: string | undefined;
  return stream.flatMap(({ sequence, header }) => {
    const position = header("Cdc-Pos") as Position | undefined;
    if (position === undefined) return [];
    const first = (header("Nats-Batch-Sequence") ?? "1") === "1";
    const wrong: string[] = [];
    if (first && header("Cdc-Prev") !== newest)
      wrong.push(`Cdc-Prev at ${sequence}: ${header("Cdc-Prev")}, not ${newest}`);
    if (newest !== undefined && position.replace("+", "") < newest.replace("+", "")) wrong.push(`falls at ${sequence}`);
    const last = header("Cdc-Tx") === undefined ? isComplete(position) : header("Cdc-Tx-Last") === "1";
    if (last !== isComplete(position)) wrong.push(`Cdc-Tx-Last and + differ at ${sequence}`);
    newest = position;
    return wrong;
  });
}
