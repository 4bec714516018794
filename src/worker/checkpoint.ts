// Publish durably, save, acknowledge: the last two, in this order, whatever happens between them. A crash can only repeat
// work: before the save the old checkpoint stands, after it the database still holds what is behind the new one.

import type { Mark, Writer } from "../bus/bus.ts";
import { comparePositions, type Position } from "../event/position.ts";
import type { Source } from "../source/source.ts";
import type { Probe } from "./probe.ts";

export interface CheckpointCounts {
  /** A place is durable: its save begins. */
  saving(): void;
  saved(): void;
  acknowledged(position: Position): void;
}

export interface CheckpointOptions {
  readonly reader: Source;
  readonly writer: Writer;
  readonly counts: CheckpointCounts;
  readonly probe: Probe;
  /** Resolves when it is time for another save. */
  readonly untilNextSave: () => Promise<void>;
}

/** Saves and acknowledges what becomes durable; ends by throwing what the writer or the source throws. */
export async function keepCheckpoints(options: CheckpointOptions): Promise<void> {
  const { reader, writer, counts, probe } = options;
  let acknowledged: Position | undefined;
  const acknowledge = async ({ position }: Mark): Promise<void> => {
    if (acknowledged !== undefined && comparePositions(position, acknowledged) <= 0) return;
    acknowledged = position;
    probe("before-acknowledge");
    await reader.acknowledge(position);
    counts.acknowledged(position);
  };
  const savedOnly = new Latest<Mark>();
  await Promise.all([
    saveMarks(options, acknowledge, savedOnly),
    // A place that only the save holds is acknowledged when the save itself is durable; the others need not wait for it.
    (async () => {
      for (;;) {
        const mark = await savedOnly.take();
        await writer.saveDurable();
        await acknowledge(mark);
      }
    })(),
  ]);
}

async function saveMarks(
  { writer, counts, probe, untilNextSave }: CheckpointOptions,
  acknowledge: (mark: Mark) => Promise<void>,
  savedOnly: Latest<Mark>,
): Promise<void> {
  for (;;) {
    const mark = await writer.nextMark();
    counts.saving();
    probe("before-save");
    await writer.save(mark);
    counts.saved();
    probe("after-save");
    if (mark.inStream) await acknowledge(mark);
    else savedOnly.put(mark);
    await untilNextSave();
  }
}

/** Hands the newest value from one loop to another. */
class Latest<T> {
  #value: T | undefined;
  #resolve: (() => void) | undefined;

  put(value: T): void {
    this.#value = value;
    this.#resolve?.();
  }

  async take(): Promise<T> {
    while (this.#value === undefined) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    const value = this.#value;
    this.#value = undefined;
    return value;
  }
}
