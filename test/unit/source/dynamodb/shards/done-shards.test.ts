// Which shards leave the checkpoint and the record, and which of those on record are believed.

import { expect, test } from "vitest";
import type { Positions } from "../../../../../src/event/positions.ts";
import { partitionOf } from "../../../../../src/source/dynamodb/client/partition.ts";
import { PositionFormat, Step } from "../../../../../src/source/dynamodb/client/position.ts";
import { doneShards, settle } from "../../../../../src/source/dynamodb/shards/done-shards.ts";
import { type ListedShard, ShardGraph } from "../../../../../src/source/dynamodb/shards/shard-graph.ts";
import type { SourceRecord, StreamEntry } from "../../../../../src/source/dynamodb/stream-record.ts";

const shard = (id: string, parent?: string): ListedShard => ({ id, parent, start: "1", closed: false });

const entry: StreamEntry = {
  ...{ table: "carts", label: "then", since: "2026-01-01T00:00:00.000Z", begun: "earliest" },
  ...{ roots: ["a"], over: [], done: {}, lost: {}, ended: false },
};

const recordOf = (of: Partial<StreamEntry>): SourceRecord => ({
  ...{ kind: "dynamodb", home: "eu-west-1:1" },
  streams: { arn: { ...entry, ...of } },
});

const reached = (places: Readonly<Record<string, Step>>): Positions =>
  new Map(
    Object.entries(places).map(([id, step]) => {
      const partition = partitionOf({ ...entry, shard: id });
      return [partition, new PositionFormat(partition).format({ number: "7", step })];
    }),
  );

/** Of a stream that lists these. */
function graphOf(...listings: readonly (readonly ListedShard[])[]): ReadonlyMap<string, ShardGraph> {
  const graph = new ShardGraph({ places: new Map(), roots: new Set(), over: new Set() });
  for (const listing of listings) graph.listed(listing);
  return new Map([["arn", graph]]);
}

const settled = (
  of: Partial<StreamEntry>,
  places: Readonly<Record<string, Step>>,
  graphs: ReturnType<typeof graphOf>,
) => {
  const { record, ends } = settle(recordOf(of), reached(places), graphs);
  return { entry: record.streams.arn, ends: ends.map(({ partition }) => partition.split("/").at(-1)) };
};

test("a shard leaves the checkpoint once its end and the beginning of one behind it are acknowledged, and not before", () => {
  const graph = graphOf([shard("a"), shard("b", "a"), shard("c", "a")]);
  expect(settled({}, { a: Step.ended }, graph)).toEqual({ entry, ends: [] });
  expect(settled({}, { a: Step.record, b: Step.opened }, graph)).toEqual({ entry, ends: [] });
  const { entry: next, ends } = settled({}, { a: Step.ended, c: Step.opened }, graph);
  expect([next, ends]).toEqual([{ ...entry, done: { a: "c" } }, ["a"]]);
  expect(settled({ done: { a: "c" } }, { a: Step.ended, c: Step.record }, graph).ends).toEqual(["a"]);
});

test("what is on record of a loss of it goes with it", () => {
  const lost = { code: "X", reason: "x", place: { step: Step.lost }, gone: true, details: {} };
  const { entry: next } = settled({ lost: { a: lost } }, { a: Step.ended, b: Step.opened }, graphOf([shard("b", "a")]));
  expect(next).toMatchObject({ done: { a: "b" }, lost: {} });
});

test("a shard leaves the record once two listings lack it and all behind it have begun, the oldest first", () => {
  const done = { a: "b", b: "d" };
  const both = [shard("c", "b"), shard("d", "b")];
  expect(settled({ done }, { d: Step.record, c: Step.opened }, graphOf(both)).entry?.done).toEqual(done);
  expect(settled({ done }, { d: Step.record }, graphOf(both, both)).entry).toMatchObject({ done: { b: "d" } });
  expect(settled({ done }, { d: Step.record, c: Step.opened }, graphOf(both, both)).entry).toEqual({
    ...entry,
    ...{ done: {}, roots: [] },
  });
  const parentThere = [shard("a"), ...both];
  const { entry: next } = settled({ done }, { d: Step.record, c: Step.opened }, graphOf(parentThere, parentThere));
  expect(next?.done).toEqual(done);
});

test("all of a stream that is over, and of one that is not on record, leaves the checkpoint", () => {
  expect(settled({ ended: true }, { a: Step.ended }, new Map()).ends).toEqual(["a"]);
  expect(settled({ label: "another" }, { a: Step.record }, new Map()).ends).toEqual(["a"]);
});

test("a shard on record as done is believed where the stream has something behind it, and is read again where it has not", () => {
  const done = { a: "b", b: "c", x: "y" };
  expect([...doneShards({ done }, new Set(["c"]))].sort()).toEqual(["a", "b"]);
  expect([...doneShards({ done }, new Set(["b"]))]).toEqual(["a"]);
  expect([...doneShards({ done }, new Set())]).toEqual([]);
});
