// The stream of a bus, as far as a copy beside a source's events needs one: what workers store of a source and of its copy, and of
// what they had not stored when they ended nothing. In virtual time.

import { Backfill } from "../../../src/backfill/backfill.ts";
import type { Order } from "../../../src/backfill/order.ts";
import type { Clock } from "../../../src/clock.ts";
import {
  laterPositions,
  newestOf,
  type Place,
  type Positions,
  reaches,
  withoutPartitions,
} from "../../../src/event/positions.ts";
import type { RowCopier } from "../../../src/source/capabilities.ts";
import type { Source, SourceMessage } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import type { Random } from "../bus/scripted-bus.ts";

export interface StoredRow {
  readonly op: string;
  /** The key's JSON. */
  readonly key: string;
  /** The item's version, or that of the one that is gone. */
  readonly v: number;
}

const order: Order = { backfill: 1, state: "running", by: "a test", at: "2026-01-01T00:00:00Z" };

export class CopiedStream {
  readonly rows: StoredRow[] = [];
  progress: Readonly<Record<string, unknown>> | undefined;
  positions: Positions | undefined;

  /** Runs one worker until the signal. @param maxRows of a slice */
  async work(source: Source, clock: Clock, random: Random, maxRows: number, signal: AbortSignal): Promise<void> {
    const options = {
      ...{ source: source.id, copier: source.copier as RowCopier, order: async () => order, clock, maxRows },
      ...{ log: silentLogger, maxMessageBytes: 1e6 },
    };
    const backfill = new Backfill(options, this.progress);
    /** Handed out, and on its way. */
    const queue: (readonly SourceMessage[])[] = [];
    const reading = async (): Promise<void> => {
      for await (const chunk of source.read({ from: this.positions, signal })) {
        backfill.handedOut(chunk);
        queue.push(chunk);
        if (random.chance(0.04)) await clock.sleep(random.below(3_000), signal);
      }
    };
    const storing = async (): Promise<void> => {
      while (!signal.aborted) {
        await clock.sleep(random.chance(0.01) ? random.below(5_000) : random.below(60), signal);
        if (signal.aborted) return;
        for (const chunk of queue.splice(0, 1 + random.below(4))) this.#store(chunk);
        if (this.positions !== undefined && random.chance(0.2)) await source.acknowledge(this.positions);
      }
    };
    const copying = async (): Promise<void> => {
      for await (const batch of backfill.read({ signal })) {
        while (!reaches(this.positions, batch.notBefore) && !signal.aborted) await clock.sleep(10, signal);
        await clock.sleep(random.below(100), signal);
        if (signal.aborted) return;
        for (const { data } of batch.rows()) this.rows.push(rowOf(data));
        this.progress = batch.progress;
      }
    };
    await Promise.all([reading(), storing(), copying()]);
  }

  #store(chunk: readonly SourceMessage[]): void {
    for (const message of chunk) {
      if (message.type === "ended") this.positions = withoutPartitions(this.positions, new Set([message.partition]));
      else if (message.type === "change") this.rows.push(rowOf(message.data));
      if (message.type !== "ended" && message.position !== undefined)
        this.positions = laterPositions(newestOf([message as Place]), this.positions);
    }
  }

  /** What a consumer that applies it in its order must never see. */
  wrong(): readonly string[] {
    const newest = new Map<string, number>();
    const read = new Set<string>();
    return this.rows.flatMap(({ op, key, v }, nth) => {
      const known = newest.get(key) ?? 0;
      newest.set(key, Math.max(known, v));
      const isTwice = op === "read" && read.has(key);
      if (op === "read") read.add(key);
      return [
        ...(v < known ? [`${nth}: ${op} of ${key} goes back from ${known} to ${v}`] : []),
        ...(isTwice ? [`${nth}: ${key} is read twice`] : []),
      ];
    });
  }

  /** What such a consumer holds: versions by the keys' JSON. */
  held(): Readonly<Record<string, number>> {
    const held = new Map<string, number>();
    for (const { op, key, v } of this.rows) {
      if (op === "deleted") held.delete(key);
      else held.set(key, v);
    }
    return Object.fromEntries([...held].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

function rowOf(data: Uint8Array): StoredRow {
  const { op, key, before, after } = JSON.parse(Buffer.from(data).toString());
  return { op, key: JSON.stringify(key), v: Number((after ?? before).v) };
}
