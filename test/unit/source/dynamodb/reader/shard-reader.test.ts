// One shard page by page: what its reader does where the server refuses a number or an iterator.

import { describe, expect, test } from "vitest";
import type { From, RecordsPage } from "../../../../../src/source/dynamodb/client/api.ts";
import { type Refusal, ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { type ShardPlace, Step } from "../../../../../src/source/dynamodb/client/position.ts";
import type { RawRecord } from "../../../../../src/source/dynamodb/decode/record.ts";
import { ShardReader, type ShardReaderOptions } from "../../../../../src/source/dynamodb/reader/shard-reader.ts";

const record = (number: string): RawRecord => ({ eventName: "INSERT", dynamodb: { SequenceNumber: number } });
const refuse = (refusal: Refusal): never => {
  throw new ServerError(refusal, `it is ${refusal}`);
};

interface Shard {
  readonly numbers: readonly string[];
  /** Called with each question for an iterator. */
  readonly onIterator?: (from: From) => void;
  readonly onRecords?: (asked: number) => void;
}

/** A reader of a shard that holds these, and what was asked for it. */
function readerOf({ numbers, onIterator, onRecords }: Shard, options: Partial<ShardReaderOptions> = {}) {
  const asked: From[] = [];
  let [pages, horizons] = [0, 0];
  const api = {
    iterator: async (_arn: string, _shard: string, from: From) => {
      asked.push(from);
      onIterator?.(from);
      if (!("number" in from)) return "0";
      const at = numbers.findIndex((one) => (from.at === "number" ? one >= from.number : one > from.number));
      return String(at < 0 ? numbers.length : at);
    },
    records: async (iterator: string, limit: number): Promise<RecordsPage> => {
      onRecords?.(++pages);
      const at = Number(iterator);
      const page = numbers.slice(at, at + Math.min(2, limit));
      return { records: page.map(record), bytes: 1, next: String(at + page.length) };
    },
  };
  const reader = new ShardReader({
    ...{ api, arn: "arn", shard: "s1", start: "10", place: undefined, mayBeTrimmed: false },
    onHorizon: () => horizons++,
    ...options,
  } as ShardReaderOptions);
  const read = async (): Promise<readonly string[]> =>
    (await reader.next()).records.map(({ dynamodb }) => dynamodb.SequenceNumber);
  return { read, asked, horizons: () => horizons };
}

const at = (number: string): ShardPlace => ({ number, step: Step.record });
const refusesNumbers = (from: From): void => {
  if ("number" in from) refuse("invalid");
};

describe("a shard that nothing was read of", () => {
  test("is begun at its first number", async () => {
    const { read, asked, horizons } = readerOf({ numbers: ["11", "12", "13"] });
    expect([await read(), await read(), horizons()]).toEqual([["11", "12"], ["13"], 0]);
    expect(asked).toEqual([{ at: "number", number: "10" }]);
  });

  test("is begun at its oldest record where the server refuses that, and it is said", async () => {
    const { read, asked, horizons } = readerOf({ numbers: ["11", "12"], onIterator: refusesNumbers });
    expect([await read(), horizons()]).toEqual([["11", "12"], 1]);
    expect(asked.at(-1)).toEqual({ at: "horizon" });
  });

  test("says that its beginning is gone", async () => {
    const { read } = readerOf({ numbers: ["12"], onIterator: (from) => void ("number" in from && refuse("trimmed")) });
    await expect(read()).rejects.toMatchObject({ how: "trimmed" });
  });

  test("is begun at the first record behind a loss that is on record", async () => {
    const { read, asked } = readerOf({ numbers: ["12"] }, { place: { number: "12", step: Step.behindLoss } });
    expect(await read()).toEqual(["12"]);
    expect(asked).toEqual([{ at: "number", number: "12" }]);
  });
});

describe("a shard that was read up to a number, which the server refuses,", () => {
  test("goes on behind it where older records are left, without one of them twice", async () => {
    const { read, horizons } = readerOf(
      { numbers: ["11", "12", "13", "14"], onIterator: refusesNumbers },
      { place: at("12") },
    );
    expect([await read(), await read(), horizons()]).toEqual([[], ["13", "14"], 1]);
  });

  test("is taken for trimmed where none is left", async () => {
    const { read } = readerOf({ numbers: ["13"], onIterator: refusesNumbers }, { place: at("12") });
    await expect(read()).rejects.toMatchObject({ how: "trimmed" });
  });
});

describe("an iterator", () => {
  test.each(["expired", "trimmed"] as const)(
    "that is %s is followed by another one, behind what was read",
    async (refusal) => {
      const { read, asked } = readerOf({
        numbers: ["11", "12", "13"],
        onRecords: (nth) => void (nth === 2 && refuse(refusal)),
      });
      expect([await read(), await read()]).toEqual([["11", "12"], ["13"]]);
      expect(asked.at(-1)).toEqual({ at: "behind", number: "12" });
    },
  );

  test.each(["expired", "trimmed", "invalid"] as const)(
    "that is %s again and again ends in a failure that is waited out, not in a loop",
    async (refusal) => {
      const { read, asked } = readerOf({ numbers: ["11"], onRecords: () => refuse(refusal) });
      await expect(read()).rejects.toMatchObject({ refusal });
      expect(asked.length).toBeLessThanOrEqual(3);
    },
  );
});
