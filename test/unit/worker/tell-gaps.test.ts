// What the worker makes of a beginning and of a loss that a source hands out: told before its marker goes on, and neither
// where the stream has it.

import { expect, test } from "vitest";
import { bare, type Position } from "../../../src/event/position.ts";
import { type Positions, positionsFrom } from "../../../src/event/positions.ts";
import type { Marker } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { SourceGap } from "../../../src/event/system-event.ts";
import type { Began, Commit, Lost } from "../../../src/source/source.ts";
import { GapTeller, type ToldMessage } from "../../../src/worker/tell-gaps.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";

const shop = "shop" as SourceId;
const at = (final: number, history = 1): Position =>
  `000${history}.${final.toString(16).padStart(16, "0")}.r+` as Position;
const commit: Commit = { type: "commit", position: at(0x30) };

function lostOf(name: string, position = at(0x20)): Lost {
  const what = { code: "TABLE_ADDED", reason: "it came", collections: [`public.${name}`], upTo: at(0x10) };
  return { type: "lost", id: `shop.gap.${bare(at(0x10))}.${name}`, ...what, position };
}

const began: Began = { type: "began", position: at(0x10, 2), details: { history: 2, slot: "millrace_shop" } };
const behindGap: Began = {
  ...began,
  lost: { code: "SLOT_MISSING", reason: "it was dropped", details: { slot: "millrace_shop" } },
};

/** @param newest id of the newest gap that the stream holds */
function worker(options: { newest?: string; from?: Positions; onGap?: () => Promise<void> } = {}) {
  const { newest, from, onGap } = options;
  const told: SourceGap[] = [];
  const recorded: string[] = [];
  const log = new RecordedLog();
  const gaps = new GapTeller({
    source: shop,
    reader: { recorded: async (id) => void recorded.push(id) },
    from,
    stream: { newestGap: async () => newest },
    onGap: onGap ?? (async (gap) => void told.push(gap)),
    log,
  });
  return { gaps, told, recorded, log };
}

/** A marker as the stream has it. */
function shown(message: ToldMessage | undefined): unknown {
  const { kind, id, position, partition, transaction, data } = message as Marker;
  expect(transaction).toBeUndefined();
  return { kind, id, position, ...(partition === undefined ? {} : { partition }), body: Buffer.from(data).toString() };
}

test("a log that begins for the first time is a history marker, and nothing is told", async () => {
  const { gaps, told } = worker();

  expect((await gaps.tell([began, commit])).map((one) => (one === commit ? commit : shown(one)))).toEqual([
    {
      kind: "history",
      id: `shop.history.${bare(began.position)}`,
      position: began.position,
      body: '{"history":2,"slot":"millrace_shop","code":null,"reason":"first start"}',
    },
    commit,
  ]);
  expect(told).toEqual([]);
});

test("one that begins behind a gap is told of, and is the gap's marker and the history's at one place", async () => {
  const { gaps, told, log } = worker({ from: positionsFrom(at(0x90)) });
  const { position } = began;

  expect((await gaps.tell([behindGap])).map(shown)).toEqual([
    {
      kind: "gap",
      id: `shop.gap.${bare(position)}`,
      position,
      body: `{"after":"${at(0x90)}","upTo":"${position}","code":"SLOT_MISSING","reason":"it was dropped","slot":"millrace_shop"}`,
    },
    {
      kind: "history",
      id: `shop.history.${bare(position)}`,
      position,
      body: '{"history":2,"slot":"millrace_shop","code":"SLOT_MISSING","reason":"it was dropped"}',
    },
  ]);
  expect(told).toEqual([{ after: at(0x90), upTo: position, code: "SLOT_MISSING", reason: "it was dropped" }]);
  expect(log.of("source_gap")).toEqual([{ source: "shop", code: "SLOT_MISSING", after: at(0x90), upTo: position }]);
});

test("what the stream has of commits that are no more is named", async () => {
  const { gaps } = worker({ from: positionsFrom(at(0x90)) });
  const lost = { code: "SOURCE_TIMELINE", reason: "promoted", details: {}, goneBehind: at(0x50) };

  const [gap] = (await gaps.tell([{ ...began, lost }])).map(shown) as { readonly body: string }[];

  expect(JSON.parse(gap?.body ?? "")).toMatchObject({ phantom: { after: at(0x50), upTo: at(0x90) } });
});

test("a beginning that the stream has, or has more behind, is neither told nor stored once more", async () => {
  for (const final of [0x10, 0x11]) {
    const { gaps, told } = worker({ from: positionsFrom(at(final, 2)) });
    expect(await gaps.tell([behindGap, commit])).toEqual([commit]);
    expect(told).toEqual([]);
  }
});

test("each partition has a beginning of its own, behind what the stream has of it", async () => {
  const { gaps, told } = worker({ from: positionsFrom({ a: at(0x90), b: at(0x90, 2) }) });
  const partitions = ["a", "b", "c"].map((partition) => ({ ...behindGap, partition }));

  const markers = (await gaps.tell(partitions)).map(shown);

  expect(markers).toMatchObject([
    { kind: "gap", partition: "a" },
    { kind: "history", partition: "a" },
    { kind: "gap", partition: "c" },
    { kind: "history", partition: "c" },
  ]);
  expect(told.map(({ after }) => after)).toEqual([at(0x90), null]);
});

test("each loss of collections is told, and its marker goes on in its place", async () => {
  const { gaps, told, log } = worker({ newest: "another" });

  const chunk = await gaps.tell([lostOf("a"), lostOf("b"), commit]);

  expect(chunk.slice(0, 2).map(shown)).toEqual(
    ["a", "b"].map((name) => ({
      kind: "gap",
      id: lostOf(name).id,
      position: at(0x20),
      body: `{"after":null,"code":"TABLE_ADDED","reason":"it came","collections":["public.${name}"],"upTo":"${at(0x10)}"}`,
    })),
  );
  expect(chunk[2]).toBe(commit);
  expect(told).toEqual(
    ["a", "b"].map((name) => ({
      ...{ after: null, code: "TABLE_ADDED", reason: "it came" },
      ...{ collections: [`public.${name}`], upTo: at(0x10) },
    })),
  );
  expect(log.of("source_gap")).toMatchObject([{ collections: ["public.a"] }, { collections: ["public.b"] }]);
});

test.each([
  ["all", "b", []],
  ["the first alone", "a", ["b"]],
  ["none", "another", ["a", "b"]],
])(
  "of those that were found together the stream holds %s: the others are told and stored",
  async (_, newest, lacking) => {
    const { gaps, told } = worker({ newest: lostOf(newest).id });

    const chunk = await gaps.tell([lostOf("a"), lostOf("b"), commit]);

    expect(chunk.slice(0, -1).map((marker) => (marker as Marker).id)).toEqual(lacking.map((name) => lostOf(name).id));
    expect(told.map(({ collections }) => collections)).toEqual(lacking.map((name) => [`public.${name}`]));
  },
);

test("one that cannot be told does not go on", async () => {
  const failure = new Error("the bus is away");
  const { gaps } = worker({ onGap: () => Promise.reject(failure) });

  await expect(gaps.tell([lostOf("a")])).rejects.toBe(failure);
  await expect(gaps.tell([behindGap])).rejects.toBe(failure);
});

test("the source is said that a loss is recorded once a later place is acknowledged, also of one that the stream had", async () => {
  const { gaps, recorded } = worker({ newest: lostOf("a").id });
  await gaps.tell([lostOf("a"), lostOf("b")]);
  await gaps.tell([lostOf("c", at(0x30))]);

  await gaps.acknowledged(positionsFrom(at(0x20)));
  expect(recorded).toEqual([]); // its marker repeats that place: it may be another message's that is stored
  await gaps.acknowledged(positionsFrom(at(0x30)));
  expect(recorded).toEqual([lostOf("b").id]);
  await gaps.acknowledged(positionsFrom(at(0x40)));
  await gaps.acknowledged(positionsFrom(at(0x50)));
  expect(recorded).toEqual(["b", "c"].map((name) => lostOf(name).id));
});
