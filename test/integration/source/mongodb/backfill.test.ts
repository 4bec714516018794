// Slices of collections on the run's target: what their rows look like, where they go on, and what of the log they include.

import { Binary, BSON, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp, UUID } from "mongodb";
import { afterAll, describe, expect, test } from "vitest";
import type { Position } from "../../../../src/event/position.ts";
import { onlyPosition, positionsAt, reaches } from "../../../../src/event/positions.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import type { CopyTarget, Slice, SliceRequest } from "../../../../src/source/capabilities.ts";
import { formatPosition, type Place, parsePosition } from "../../../../src/source/mongodb/client/position.ts";
import { mongoConnector } from "../../../../src/source/mongodb/connector.ts";
import type { MongoSource } from "../../../../src/source/mongodb/mongo-source.ts";
import { silentLogger } from "../../../../src/telemetry/logger.ts";
import { lossPolicy } from "../../../../src/worker/loss-policy.ts";
import { SourceReading } from "../../../contract/source/source-reading.ts";
import { freshMongoDatabase, type MongoDatabase } from "../../../support/mongodb/mongo-servers.ts";
import { mongoTarget } from "../../../support/mongodb/mongo-target.ts";
import { waitFor } from "../../../support/wait-for.ts";

const never = new AbortController().signal;

/** Of all types that a server takes, in its order. */
const ids: readonly unknown[] = [
  new MinKey(),
  null,
  new Double(Number.NaN),
  Decimal128.fromString("-5.5"),
  new Int32(-1),
  new Double(0.5),
  Long.fromString("9007199254740993"),
  Decimal128.fromString("9007199254740993.5"),
  "",
  "$a",
  "6512bd43d9caa6e02c990b0a",
  "z\0z",
  { a: new Int32(1) },
  { a: new Int32(1), b: new Double(2.5) },
  { b: new Int32(1) },
  { b: { c: [new Double(2), "x"] } },
  new Binary(Buffer.from("x"), 0),
  new Binary(Buffer.from("xx"), 0),
  new UUID("00112233-4455-6677-8899-aabbccddeeff"),
  new ObjectId("6512bd43d9caa6e02c990b0a"),
  false,
  true,
  new Date(-1),
  new Timestamp({ t: 1, i: 2 }),
  new MaxKey(),
];

interface Opened {
  readonly database: MongoDatabase;
  readonly source: MongoSource;
  readonly reading: SourceReading;
}

const ends: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

/** One for all tests of a section: each has collections of its own. */
const opened = new Map<string, Promise<Opened>>();

function open(section: object = {}): Promise<Opened> {
  const name = JSON.stringify(section);
  const known = opened.get(name) ?? opening(section);
  opened.set(name, known);
  return known;
}

async function opening(section: object): Promise<Opened> {
  const database = await freshMongoDatabase();
  ends.push(async () => database[Symbol.asyncDispose]());
  for (const name of ["first", "outbox"]) await database.db.createCollection(name);
  const config = mongoConnector.parse({ url: database.url, database: database.name, ...section }, "sources.shop");
  const source = await mongoConnector.open("shop" as SourceId, config, {
    memory: { load: async () => undefined, save: async () => {} },
    log: silentLogger,
    lineageKey: async () => "of the tests",
    count: () => {},
    ...lossPolicy(false, "stop"),
  });
  ends.push(async () => source[Symbol.asyncDispose]());
  const reading = new SourceReading(source);
  ends.push(async () => reading.stop());
  await waitFor(() => reading.started, { what: "the stream to be opened" });
  return { database, source, reading };
}

async function targetOf({ source }: Opened, name: string): Promise<CopyTarget> {
  const targets = await source.copier.targets();
  return targets.find(({ collection }) => collection === name) as CopyTarget;
}

async function sliceOf(of: Opened, name: string, request: Partial<SliceRequest> = {}): Promise<Slice> {
  const target = request.target ?? (await targetOf(of, name));
  const rest = { after: undefined, maxRows: 1000, maxBytes: 1e6, backfill: 7, signal: never };
  return of.source.copier.readSlice({ ...rest, ...request, target });
}

/** With any `_id`: the driver's own insert gives one where it is null. */
async function insert({ database: { db } }: Opened, name: string, documents: readonly object[]): Promise<void> {
  await db.command({ insert: name, documents });
}

const bodyOf = ({ data }: { readonly data: Uint8Array }): Record<string, unknown> =>
  JSON.parse(Buffer.from(data).toString());

async function changes({ reading }: Opened, name: string, count: number): Promise<SourceReading["changes"]> {
  const found = (): SourceReading["changes"] => reading.changes.filter(({ kind }) => kind.collection === name);
  await waitFor(() => found().length >= count, { what: `${count} changes` });
  return found();
}

describe(`a slice of a collection of ${mongoTarget}`, () => {
  test.each([{}, { encoding: "ejson" }])(
    "has the documents as their events have them, whatever their _id is: %j",
    async (section) => {
      const of = await open(section);
      const documents = ids.map((_id) => ({
        ...{ _id, at: new Date(0), nested: { list: [1, { _id }] }, big: Long.MAX_VALUE },
      }));
      await insert(of, "typed", documents.toReversed());
      const events = (await changes(of, "typed", ids.length)).toReversed();
      const slice = await sliceOf(of, "typed");

      expect(slice.rows.map(bodyOf)).toEqual(events.map((event) => ({ ...bodyOf(event), op: "read" })));
      expect(slice.rows.map(({ key, lane }) => ({ key, lane }))).toEqual(
        events.map(({ key, lane }) => ({ key, lane })),
      );
      expect(slice.rows[0]).toMatchObject({
        ...{ backfill: 7, collectionId: (await targetOf(of, "typed")).id },
        ...{ time: expect.stringMatching(/^20.*\.000000Z$/) },
        kind: { op: "read", version: undefined, place: events[0]?.kind.place },
      });
      expect(slice.isLast).toBe(true);
    },
  );

  test("goes on behind the last row of the one before, whatever its type, and loses none", async () => {
    const of = await open({ encoding: "ejson" });
    await insert(
      of,
      "paged",
      ids.map((_id) => ({ _id })),
    );
    const seen: unknown[] = [];
    let after: SliceRequest["after"];
    for (let pages = 0; ; pages++) {
      const slice = await sliceOf(of, "paged", { maxRows: 1 + (pages % 2), after });
      seen.push(...slice.rows.map((row) => bodyOf(row).key));
      if (slice.isLast) break;
      // As it comes back from the stream.
      after = JSON.parse(JSON.stringify(slice.after(slice.rows.length - 1)));
    }

    expect(seen).toEqual(ids.map((_id) => BSON.EJSON.serialize({ _id } as BSON.Document, { relaxed: false })));
  });

  test("ends where the collection ended when it began, however fast documents come behind that", async () => {
    const of = await open();
    await insert(
      of,
      "growing",
      [1, 2, 3, 4, 5].map((_id) => ({ _id })),
    );
    const seen: string[] = [];
    let after: SliceRequest["after"];
    for (let slices = 1; ; slices++) {
      const slice = await sliceOf(of, "growing", { maxRows: 2, after });
      seen.push(...slice.rows.map(({ key }) => key));
      // A type that is behind all numbers, and more documents than a slice takes.
      await insert(of, "growing", [{ _id: 5.5 + slices }, { _id: 100 * slices }, { _id: `z${slices}` }]);
      if (slice.isLast) break;
      after = JSON.parse(JSON.stringify(slice.after(slice.rows.length - 1)));
    }

    expect(seen).toEqual(["1", "2", "3", "4", "5"]);
  });

  test("is of the documents with the keys that are asked for, up to where the copy is", async () => {
    const of = await open({ encoding: "ejson" });
    const documents = ids.map((_id) => ({ _id }));
    await insert(of, "keyed", documents);
    const all = await sliceOf(of, "keyed");
    const keys = all.rows.map(({ key }) => key);
    const asked = [...keys.filter((_, nth) => nth % 2 === 0), "gone"];
    const keysOf = (slice: Slice): readonly string[] => slice.rows.map(({ key }) => key);

    expect(all.readsKeys).toBe(true);
    expect(keysOf(await sliceOf(of, "keyed", { keys }))).toEqual(keys);
    expect(keysOf(await sliceOf(of, "keyed", { keys: asked, after: all.after(7) }))).toEqual(
      keys.slice(0, 8).filter((key) => asked.includes(key)),
    );
    const other = { ...all.after(7), collection: "another" };
    expect(keysOf(await sliceOf(of, "keyed", { keys, after: other }))).toEqual([]);
  });

  test("ends with the row that reaches its bytes, and the next one begins behind that", async () => {
    const of = await open();
    const documents = Array.from({ length: 60 }, (_, _id) => ({ _id, text: "x".repeat(2000) }));
    await insert(of, "wide", documents);
    const slice = await sliceOf(of, "wide", { maxBytes: 9000 });
    expect(slice.rows).toHaveLength(5);
    expect(slice.isLast).toBe(false);

    const rest = await sliceOf(of, "wide", { after: slice.after(4) });
    expect(rest.rows.map(({ key }) => Number(key))).toEqual(documents.map(({ _id }) => _id).slice(5));
    expect(rest.isLast).toBe(true);
  });

  test("includes what was handed out before it was read, and nothing since; it waits for the log up to where it was read", async () => {
    const of = await open({ images: { after: "none" } });
    await insert(of, "orders", [{ _id: 1 }, { _id: 2 }]);
    await changes(of, "orders", 2);
    const slice = await sliceOf(of, "orders");
    await waitFor(() => reaches(of.reading.reached, slice.notBefore), { what: "the log to be read up to the slice" });
    await of.database.db.collection("orders").updateOne({ _id: 1 as never }, { $set: { a: 1 } });
    const events = await changes(of, "orders", 3);

    expect(events.map(({ position }) => slice.includes({ position, transaction: "" }))).toEqual([true, true, false]);
    expect(reaches(positionsAt({ position: besides(slice, 0) }), slice.notBefore)).toBe(true);
    expect(reaches(positionsAt({ position: besides(slice, -1) }), slice.notBefore)).toBe(false);
  });

  test("includes no change where documents are looked up, for those may be newer than what it has read", async () => {
    const of = await open();
    await insert(of, "looked", [{ _id: 1 }]);
    const [event] = await changes(of, "looked", 1);
    const slice = await sliceOf(of, "looked");

    expect(slice.includes({ position: event?.position as Position, transaction: "" })).toBe(false);
  });

  test("is of the collection that was asked for: of another one with its name nothing is given, and its copy begins anew", async () => {
    const of = await open();
    await insert(of, "dropped", [{ _id: 1 }, { _id: 2 }]);
    const old = await targetOf(of, "dropped");
    const { after } = await sliceOf(of, "dropped");
    await of.database.db.dropCollection("dropped");
    await insert(of, "dropped", [{ _id: 1 }]);
    await expect(sliceOf(of, "dropped", { target: old })).rejects.toMatchObject({ code: "BACKFILL_COLLECTION_GONE" });

    const slice = await sliceOf(of, "dropped", { after: after(1) });
    expect(slice.rows.map(({ key }) => key)).toEqual(["1"]);
  });

  test("is refused where an _id fits no marker of the stream", async () => {
    const of = await open();
    await insert(of, "long", [{ _id: "k".repeat(9000) }]);
    await expect(sliceOf(of, "long")).rejects.toMatchObject({
      ...{ code: "BACKFILL_ID_UNFIT", message: expect.stringMatching(/long.*_id is larger than 8192 bytes/) },
    });
  });

  test("is offered of collections that are read, in the order of their names, and of no view", async () => {
    const of = await open({ collections: ["*", "!aside*"], outbox: { collection: "outbox" } });
    const { db, name } = of.database;
    for (const collection of ["b", "aside1", "a.b", "a-b"]) await db.createCollection(collection);
    await db.createCollection("seen", { viewOn: "b", pipeline: [] });
    const targets = await of.source.copier.targets();

    expect(targets.map(({ namespace, collection }) => `${namespace}.${collection}`)).toEqual(
      ["a-b", "a.b", "b", "first"].map((collection) => `${name}.${collection}`),
    );
    expect(new Set(targets.map(({ id }) => id)).size).toBe(4);
    expect(of.source.copier.initial).toBeUndefined();
  });
});

/** An event's position so many ticks beside the place that a slice waits for. */
function besides({ notBefore }: Slice, ticks: number): Position {
  const place = parsePosition(onlyPosition(notBefore) as Position);
  const { t, i } = place.time;
  return formatPosition({ ...place, time: { t, i: i + ticks }, ordinal: 1 } satisfies Place, true);
}
