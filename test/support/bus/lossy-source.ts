// A source that has lost what was before its log begins, and something of a collection now and then: what a connector has on
// record of that, and hands out until it is said to be recorded.

import type { Clock } from "../../../src/clock.ts";
import type { Position } from "../../../src/event/position.ts";
import { comparePlace, type Positions } from "../../../src/event/positions.ts";
import type { Change } from "../../../src/event/source-event.ts";
import type { Commit, Lost, Source, SourceMessage } from "../../../src/source/source.ts";
import { ordersCreated } from "./encoded.ts";

const hex = (n: number): string => n.toString(16).padStart(8, "0");

export class LossySource implements Pick<Source, "read" | "acknowledge" | "recorded"> {
  /** Names of its partitions; one that has none. */
  readonly partitions: readonly (string | undefined)[];
  /** Its changes, two of each partition: one is a transaction. */
  readonly changes: readonly Change[];
  /** What is lost of collections and not said to be recorded. */
  lost: readonly Omit<Lost, "type" | "position" | "partition">[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock, partitions: readonly string[]) {
    this.#clock = clock;
    this.partitions = partitions.length === 0 ? [undefined] : partitions;
    this.changes = [1, 2].flatMap((n) =>
      this.partitions.map((partition) => ({
        ...{ type: "change", kind: ordersCreated, lane: "p00", key: `${n}`, data: Buffer.from("{}") },
        ...{ partition, position: this.#position(partition, n) },
        transaction: { id: `${n}`, time: "2026-01-01T00:00:00.000000Z", lineage: undefined },
      })),
    );
  }

  /** Loses something of a collection, and has that on record; each reading tells it behind its first message. */
  lose(collection: string): string {
    const id = `shop.gap.${collection}`;
    const upTo = this.#position(undefined, 0);
    this.lost = [...this.lost, { id, code: "TABLE_ADDED", reason: "it came", collections: [collection], upTo }];
    return id;
  }

  /** A change a chunk, then idle places by the clock, until the signal. */
  async *read({ from, signal }: { readonly from: Positions | undefined; readonly signal: AbortSignal }) {
    const lost = { code: "LOG_LOST", reason: "it is gone", details: {} };
    yield this.partitions.map((partition): SourceMessage => {
      return { type: "began", details: { history: 1 }, lost, partition, position: this.#position(partition, 0) };
    });
    let untold = this.lost;
    const withLost = (message: Change | Commit): readonly SourceMessage[] => {
      const { partition, position } = message;
      const told = untold.map((one): SourceMessage => ({ type: "lost", ...one, partition, position }));
      untold = [];
      return [message, ...told];
    };
    for (const change of this.changes) if (comparePlace(change, from) > 0) yield withLost(change);
    while (!signal.aborted) {
      await this.#clock.sleep(1000, signal);
      for (const partition of this.partitions)
        yield withLost({ type: "commit", partition, position: this.#position(partition, 3 + this.#clock.now()) });
    }
  }

  async recorded(id: string): Promise<void> {
    this.lost = this.lost.slice(this.lost.findIndex((one) => one.id === id) + 1);
  }

  async acknowledge(): Promise<void> {}

  /** No text stands in two partitions. */
  #position(partition: string | undefined, n: number): Position {
    return `0001.${hex(n)}.${this.partitions.indexOf(partition)}+` as Position;
  }
}
