// Which shards of a stream may be read, and which are lost.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Step } from "../../../../../src/source/dynamodb/client/position.ts";
import {
  type KnownStream,
  type ListedShard,
  ShardGraph,
} from "../../../../../src/source/dynamodb/shards/shard-graph.ts";

const shard = (id: string, parent?: string, closed = false): ListedShard => ({ id, parent, start: "1", closed });
const at = (step: Step) => ({ number: "1", step });

function graphOf({
  places = new Map(),
  roots = new Set(),
  over = new Set(),
  ...more
}: Partial<KnownStream> = {}): ShardGraph {
  return new ShardGraph({ places, roots, over, ...more });
}

function readyOf(graph: ShardGraph): readonly string[] {
  return graph.ready().map(({ id }) => id);
}

describe("a shard", () => {
  test("without a parent may be read", () => {
    const graph = graphOf();
    graph.listed([shard("a"), shard("b")]);
    expect(readyOf(graph)).toEqual(["a", "b"]);
  });

  test("waits until its parent is read whole, in whichever order they are listed", () => {
    const graph = graphOf();
    graph.listed([shard("c", "b"), shard("b", "a"), shard("a")]);
    expect(readyOf(graph)).toEqual(["a"]);
    graph.reading("a");
    expect(readyOf(graph)).toEqual([]);
    graph.ended("a");
    expect(readyOf(graph)).toEqual(["b"]);
    graph.ended("b");
    expect(readyOf(graph)).toEqual(["c"]);
  });

  test("that was split has two children, both of which may then be read", () => {
    const graph = graphOf();
    graph.listed([shard("a", undefined, true)]);
    graph.ended("a");
    expect(graph.isDone).toBe(true);
    graph.found([shard("b", "a"), shard("c", "a")]);
    expect(readyOf(graph)).toEqual(["b", "c"]);
    expect(graph.childrenOf("a")).toEqual(["b", "c"]);
  });

  test("that rolled again and again without records is passed one after the other", () => {
    const graph = graphOf();
    graph.listed([shard("a"), shard("b", "a", true), shard("c", "b", true), shard("d", "c")]);
    const read: string[] = [];
    for (let [next] = readyOf(graph); next !== undefined; [next] = readyOf(graph)) {
      read.push(next);
      graph.ended(next);
    }
    expect(read).toEqual(["a", "b", "c", "d"]);
  });

  test("is one that is closed when it has children, whatever the listing says of it", () => {
    const graph = graphOf();
    graph.listed([shard("b", "a"), shard("a")]);
    expect(graph.ready()).toEqual([expect.objectContaining({ id: "a", closed: true })]);
  });

  test("with a parent that was never listed waits for two complete listings that lack it, and tells what is lost", () => {
    const graph = graphOf();
    graph.listed([shard("b", "a")]);
    expect([readyOf(graph), graph.unsure]).toEqual([[], true]);
    graph.found([shard("b", "a")]); // no listing
    expect(readyOf(graph)).toEqual([]);
    graph.listed([shard("b", "a")]);
    expect([readyOf(graph), graph.unsure]).toEqual([["b"], false]);
    expect(graph.takeLosses()).toEqual([{ shard: "b", gone: "a" }]);
    expect(graph.takeLosses()).toEqual([]);
  });

  test("with a parent that the second listing has waits for that one", () => {
    const graph = graphOf();
    graph.listed([shard("b", "a")]);
    graph.listed([shard("b", "a"), shard("a")]);
    graph.listed([shard("b", "a"), shard("a")]);
    expect([readyOf(graph), graph.takeLosses()]).toEqual([["a"], []]);
  });

  test("with which the source has begun waits for nobody, and loses nothing", () => {
    const graph = graphOf({ roots: new Set(["b"]) });
    graph.listed([shard("b", "a")]);
    expect([readyOf(graph), graph.takeLosses()]).toEqual([["b"], []]);
  });

  test("that is over is not read again, and holds nobody up, listed or not", () => {
    const graph = graphOf({ over: new Set(["a", "x"]) });
    graph.listed([shard("a"), shard("b", "a"), shard("y", "x")]);
    expect([readyOf(graph), graph.takeLosses()]).toEqual([["b", "y"], []]);
  });
});

test("a shard of which nothing is known is done where one behind it has begun, though it is listed again", () => {
  const graph = graphOf({ begun: new Set(["d"]), places: new Map([["d", at(Step.record)]]) });
  graph.listed([shard("a"), shard("b", "a"), shard("c", "b"), shard("d", "c"), shard("e", "b")]);
  expect([readyOf(graph), graph.takeLosses()]).toEqual([["d", "e"], []]);
});

test("a shard is gone when two complete listings lack it, and one that is forgotten is not read when it is listed again", () => {
  const graph = graphOf();
  graph.listed([shard("a"), shard("b", "a")]);
  graph.ended("a");
  graph.reading("b");
  graph.listed([shard("b", "a")]);
  expect(graph.isGone("a")).toBe(false);
  graph.listed([shard("b", "a")]);
  expect([graph.isGone("a"), graph.isGone("never listed")]).toEqual([true, true]);
  graph.forget("a");
  graph.listed([shard("a"), shard("b", "a")]);
  expect([readyOf(graph), graph.takeLosses()]).toEqual([[], []]);
});

describe("a shard that the stream knows", () => {
  test("is read on, though its parent is gone", () => {
    const graph = graphOf({ places: new Map([["b", at(Step.record)]]) });
    graph.listed([shard("b", "a")]);
    graph.listed([shard("b", "a")]);
    expect([readyOf(graph), graph.takeLosses()]).toEqual([["b"], []]);
  });

  test("to its end lets its children be read", () => {
    const graph = graphOf({ places: new Map([["a", at(Step.ended)]]) });
    graph.listed([shard("b", "a")]);
    expect([readyOf(graph), graph.takeLosses()]).toEqual([["b"], []]);
  });

  test("in part, and that two listings lack, is lost, and then its children are read", () => {
    const graph = graphOf({ places: new Map([["a", at(Step.record)]]) });
    graph.listed([shard("b", "a")]);
    expect(graph.takeLosses()).toEqual([]);
    graph.listed([shard("b", "a")]);
    expect([graph.takeLosses(), readyOf(graph)]).toEqual([[{ shard: "a", gone: "a" }], ["b"]]);
  });

  test("and that the server says it does not know is lost at once, unless it was done", () => {
    const graph = graphOf({ places: new Map([["a", at(Step.record)]]) });
    graph.listed([shard("a"), shard("b", "a")]);
    graph.reading("a");
    graph.vanished("a");
    expect([graph.takeLosses(), readyOf(graph)]).toEqual([[{ shard: "a", gone: "a" }], ["b"]]);
    graph.vanished("a");
    expect(graph.takeLosses()).toEqual([]);
  });
});

test("a stream is done when all its shards are, and not before it was listed", () => {
  const graph = graphOf();
  expect(graph.isDone).toBe(false);
  graph.listed([shard("a"), shard("b", "a")]);
  graph.ended("a");
  expect(graph.isDone).toBe(false);
  graph.ended("b");
  expect(graph.isDone).toBe(true);
  expect(graph.counts()).toEqual({ waiting: 0, ready: 0, reading: 0, done: 2 });
});

test("no shard is ready before its parent is done, in any lineage and any order of listings and ends", () => {
  const lineage = fc
    .array(fc.nat(), { minLength: 1, maxLength: 12 })
    .map((picks) =>
      picks.map((pick, nth) => shard(`s${nth}`, nth === 0 || pick % 4 === 0 ? undefined : `s${pick % nth}`)),
    );
  fc.assert(
    fc.property(lineage, fc.infiniteStream(fc.nat()), (shards, picks) => {
      const graph = graphOf();
      const next = (): number => picks.next().value as number;
      const done = new Set<string>();
      graph.listed([...shards].sort(() => (next() % 2) - 0.5));
      while (done.size < shards.length) {
        const ready = graph.ready();
        for (const { parent } of ready) if (parent !== undefined) expect(done).toContain(parent);
        const one = ready[next() % ready.length] as ListedShard;
        if (next() % 3 === 0) graph.listed(shards);
        graph.ended(one.id);
        done.add(one.id);
      }
      expect([graph.isDone, graph.takeLosses()]).toEqual([true, []]);
    }),
  );
});
