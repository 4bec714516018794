// How far a second producer is when a writer begins: by the stream, and where the stream does not tell any more, by the checkpoint.

import { expect, test } from "vitest";
import type { Checkpoint } from "../../../src/bus/jetstream/lease/checkpoint-store.ts";
import { newestProgress } from "../../../src/bus/jetstream/recovery/newest-progress.ts";
import type { StoredMessage } from "../../../src/bus/jetstream/stream/port.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { place } from "../../support/postgres/transactions.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const source = "shop" as SourceId;

const marker = (seq: number, head: Readonly<Record<string, string>> = {}): StoredMessage => {
  const headers: Readonly<Record<string, string>> = {
    "ce-source": "/shop",
    "ce-id": `shop.backfill.3.${seq}`,
    ...head,
  };
  const data = Buffer.from(JSON.stringify({ seq }));
  return { seq, subject: "meta.shop.backfill", header: (name) => headers[name], data };
};
const stray = (seq: number): StoredMessage => marker(seq, { "ce-id": "shop.backfill.3.1" });
const event = (seq: number): StoredMessage => ({ ...marker(seq), subject: "cdc.shop.public.orders.created.p00" });

const saved = { id: "shop.backfill.2.1", value: { seq: 1 } };
const checkpoint: Checkpoint = {
  ...{ position: place(10), streamCreated: "t0", lease: 2, streamSeq: 5, id: "shop.1", progress: saved },
};

function progress(newest: StoredMessage | undefined, known: Checkpoint | undefined, firstSeq = 1) {
  const stored = new Map([event(9), stray(8), marker(7), event(6), marker(4)].map((one) => [one.seq, one]));
  const port = {
    read: async (seq: number) => stored.get(seq),
    isRemoved: async (seq: number) => !stored.has(seq),
  };
  return newestProgress({ port, clock: new VirtualClock(), source, firstSeq }, newest, known);
}

test.each([
  ["the newest marker says it", marker(7), checkpoint, 7],
  ["also one that the checkpoint has passed", marker(4), checkpoint, 4],
  ["one that was published by hand is passed over", stray(8), checkpoint, 7],
  ["as far back as the checkpoint reaches", stray(6), checkpoint, 1],
  ["without a checkpoint as far as the stream does, past what somebody took out", stray(6), undefined, 4],
  ["where the stream has none, the checkpoint says it", undefined, checkpoint, 1],
  ["where neither does, there is none", undefined, undefined, undefined],
])("%s", async (_what, newest, known, found) => {
  expect((await progress(newest, known)).progress?.value).toEqual(found === undefined ? undefined : { seq: found });
});

test("what retention has taken is not asked for", async () => {
  expect(await progress(stray(8), undefined, 8)).toEqual({ progress: undefined, seq: 7 });
});
