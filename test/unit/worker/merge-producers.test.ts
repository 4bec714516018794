// A second producer whose batches are stored one after the other.

import { expect, test } from "vitest";
import { EventEncoder } from "../../../src/bus/encode-event.ts";
import type { SideBatch } from "../../../src/bus/source-stream.ts";
import type { Position } from "../../../src/event/position.ts";
import { positionsAt } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { CopyBatch, SideProducer } from "../../../src/source/capabilities.ts";
import { mergeProducer } from "../../../src/worker/merge-producers.ts";
import { noProbe } from "../../../src/worker/probe.ts";
import { copiedRow } from "../../support/bus/copied-rows.ts";

const at = { position: "0001.1+" as Position };
const encoder = new EventEncoder("shop" as SourceId);

/** A producer of batches of one row, and a writer that stores each. */
function ground(batches: number, maxMessageBytes = 1000) {
  const steps: unknown[] = [];
  const producer: SideProducer = {
    async *read({ after }) {
      for (let n = Number(after?.done ?? 0) + 1; n <= batches; n++) {
        steps.push(`made ${n}`);
        const batch: CopyBatch = { notBefore: positionsAt(at), rows: () => [copiedRow(`${n}`)], progress: { done: n } };
        yield batch;
      }
    },
  };
  const insert = async (batch: SideBatch): Promise<void> => {
    const { notBefore, messages } = batch;
    const subjects = messages(at).map(({ head }) => /ce-subject: (\S+)/.exec(head)?.[1]);
    const { progress } = batch;
    await Promise.resolve();
    steps.push({ notBefore: [...notBefore.values()], subjects, progress });
  };
  const stream = { encodeCopied: encoder.copied.bind(encoder), maxMessageBytes };
  const merge = (progress?: Readonly<Record<string, unknown>>): Promise<void> =>
    mergeProducer({
      ...{ producer, stream, schemas: { describe: async () => undefined }, probe: noProbe },
      ...{ writer: { progress, insert }, signal: new AbortController().signal },
    });
  return { steps, merge };
}

const stored = (n: number) => ({
  ...{ notBefore: [at.position], subjects: [`public.orders/${n}`], progress: { done: n } },
});

test("each is asked for when the one before is stored, from behind what the stream holds", async () => {
  const { steps, merge } = ground(4);
  await merge({ done: 2 });

  expect(steps).toEqual(["made 3", stored(3), "made 4", stored(4)]);
});

test("a row that no message can carry is a bug of the producer", async () => {
  const { merge } = ground(1, 10);

  await expect(merge()).rejects.toMatchObject({ code: "COPIED_ROW_TOO_LARGE" });
});
