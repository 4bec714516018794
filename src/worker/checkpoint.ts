// Publish durably, save, acknowledge: the last two, in this order, whatever happens between them. A crash can only repeat
// work: before the save the old checkpoint stands, after it the database still holds what is behind the new one.

import type { Mark, Writer } from "../bus/source-stream.ts";
import { type Positions, reaches } from "../event/positions.ts";
import type { Source } from "../source/source.ts";
import type { Probe } from "./probe.ts";

export interface CheckpointCounts {
  /** The save of a place begins. */
  saving(): void;
  saved(): void;
  acknowledged(positions: Positions): void;
}

export interface CheckpointOptions {
  readonly reader: Pick<Source, "acknowledge">;
  readonly writer: Writer;
  readonly counts: CheckpointCounts;
  readonly probe: Probe;
  /** Resolves when a place that the stream has reached may be saved: what a copy must know of all before it is in the stream. */
  readonly untilCopyKnows?: (() => Promise<void>) | undefined;
  /** Resolves when it is time for another save. */
  readonly untilNextSave: () => Promise<void>;
}

/** Saves places and acknowledges what became durable; ends by throwing what the writer or the source throws. */
export async function keepCheckpoints(options: CheckpointOptions): Promise<void> {
  const { reader, writer, counts, probe } = options;
  let acknowledged: Positions | undefined;
  const acknowledge = async ({ positions }: Mark): Promise<void> => {
    if (reaches(acknowledged, positions)) return;
    acknowledged = positions;
    probe("before-acknowledge");
    await reader.acknowledge(positions);
    counts.acknowledged(positions);
  };
  await Promise.all([
    saveMarks(options, acknowledge),
    // A place that only the save holds is acknowledged when the save itself is durable; the others need not wait for it.
    (async () => {
      for (;;) await acknowledge(await writer.nextSaved());
    })(),
  ]);
}

async function saveMarks(
  { writer, counts, probe, untilCopyKnows, untilNextSave }: CheckpointOptions,
  acknowledge: (mark: Mark) => Promise<void>,
): Promise<void> {
  for (;;) {
    const mark = await writer.nextMark();
    await untilCopyKnows?.();
    counts.saving();
    probe("before-save");
    await writer.save(mark);
    counts.saved();
    probe("after-save");
    if (mark.unstored === undefined) await acknowledge(mark);
    await untilNextSave();
  }
}
