// Behind what a source goes on: by `--adopt` behind one loss of any kind, by its option behind every gap and nothing else.

import { expect, test } from "vitest";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import { HistoryLostError } from "../../../src/errors.ts";
import type { Position } from "../../../src/event/position.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { SchemaBook } from "../../../src/schema/schema-book.ts";
import type { Source, SourceMessage } from "../../../src/source/source.ts";
import { lossPolicy, startOver } from "../../../src/worker/loss-policy.ts";
import { readAnnounced } from "../../../src/worker/tell-schemas.ts";

const gap = new HistoryLostError("SLOT_LOST", "gone", { hint: "see the test" });
const foreign = new HistoryLostError("SOURCE_OTHER_CLUSTER", "another", { foreign: true });

test.each([
  [false, "stop", { gap: false, foreign: false }],
  [false, "continue", { gap: true, foreign: false }],
  [true, "stop", { gap: true, foreign: true }],
  [true, "continue", { gap: true, foreign: true }],
] as const)("--adopt %s and onGap %s accept %j", (adopt, onGap, accepted) => {
  const { accepts } = lossPolicy(adopt, onGap);

  expect({ gap: accepts("gap"), foreign: accepts("foreign") }).toEqual(accepted);
  expect({ gap: accepts(gap), foreign: accepts(foreign) }).toEqual(accepted);
});

test.each(["stop", "continue"] as const)("--adopt holds for one loss; then %s decides", (onGap) => {
  const { accepts, onAccepted } = lossPolicy(true, onGap);
  onAccepted();

  expect({ gap: accepts("gap"), foreign: accepts("foreign") }).toEqual({ gap: onGap === "continue", foreign: false });
});

/** As the worker reads: what ends the source's reading may start it over. */
function reading(source: Pick<Source, "read" | "giveUp">, policy: ReturnType<typeof lossPolicy>) {
  const id = "shop" as SourceId;
  const book = new SchemaBook({ source: id, store: memoryStore(), lease: 1 });
  const signal = new AbortController().signal;
  const onEnded = (thrown: unknown): Promise<unknown> => startOver(source, policy, thrown);
  return readAnnounced({ id, read: source.read }, book, { from: undefined, signal, onEnded });
}

/** Reads a source that ends by an error. @returns what the reading is rejected with, and what was given up */
async function read(error: Error, policy: ReturnType<typeof lossPolicy>, giveUp: Source["giveUp"] | null = undefined) {
  const given: unknown[] = [];
  const source = {
    async *read(): AsyncGenerator<readonly SourceMessage[], void> {
      yield [{ type: "commit", position: "1+" as Position }];
      throw error;
    },
    ...(giveUp === null
      ? {}
      : { giveUp: giveUp ?? (async (lost: Error) => void given.push(lost, policy.accepts("gap"))) }),
  };
  const chunks: unknown[] = [];
  try {
    for await (const chunk of reading(source, policy)) chunks.push(chunk);
  } catch (thrown) {
    expect(chunks).toHaveLength(1);
    return { thrown, given };
  }
  throw new Error("it did not end by an error");
}

test("a reading that ends by a loss that is accepted: the source gives its history up, then --adopt is used up", async () => {
  const policy = lossPolicy(true, "stop");

  const { thrown, given } = await read(gap, policy);

  expect(thrown).toMatchObject({
    name: "TransientError",
    code: "SOURCE_STARTS_OVER",
    message: "SLOT_LOST: gone",
    cause: gap,
  });
  expect([...given, policy.accepts("gap")]).toEqual([gap, true, false]);
});

test.each([
  ["one that is not accepted", gap, lossPolicy(false, "stop")],
  ["another's log without --adopt", foreign, lossPolicy(false, "continue")],
  ["what is no loss", new Error("away"), lossPolicy(true, "continue")],
] as const)("%s ends the reading as it is", async (_, error, policy) => {
  expect(await read(error, policy)).toEqual({ thrown: error, given: [] });
});

test("so does one of a source that gives nothing up, or cannot put it on record", async () => {
  const policy = lossPolicy(true, "stop");
  const failure = new Error("the bus is away");

  expect((await read(gap, policy, null)).thrown).toBe(gap);
  expect((await read(gap, policy, () => Promise.reject(failure))).thrown).toBe(failure);
  expect(policy.accepts("gap")).toBe(true);
});

test("a loss that is not the source's, such as the bus's, is none of its own", async () => {
  const policy = lossPolicy(true, "continue");
  const given: unknown[] = [];
  const source = {
    read: async function* (): AsyncGenerator<readonly SourceMessage[], void> {
      yield [{ type: "commit", position: "1+" as Position }];
    },
    giveUp: async (lost: Error) => void given.push(lost),
  };
  const write = async (): Promise<void> => {
    for await (const _ of reading(source, policy)) throw gap;
  };

  await expect(write()).rejects.toBe(gap);
  expect(given).toEqual([]);
});
