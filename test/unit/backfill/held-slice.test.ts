// A slice in hand, and what is handed out while it is read and held.

import { expect, test } from "vitest";
import { HeldSlice } from "../../../src/backfill/held-slice.ts";
import { PoisonError } from "../../../src/errors.ts";
import type { Position } from "../../../src/event/position.ts";
import type { Op } from "../../../src/event/subject.ts";
import type { CopyTarget, Slice } from "../../../src/source/capabilities.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import { copiedRow, ordersRead } from "../../support/bus/copied-rows.ts";

const orders: CopyTarget = { id: "16384", namespace: "public", collection: "orders" };

/** Of the given transactions the slice shows what they did. */
function slice(keys: readonly string[], included: readonly string[] = []): Slice {
  return {
    ...{ rows: keys.map(copiedRow), after: () => ({}), isLast: true, version: ordersRead.version },
    ...{ notBefore: new Map(), includes: ({ transaction }) => included.includes(transaction) },
  };
}

/** @param data of an update that lacks a value: `{"unchanged":["doc"]}` */
function change(
  key: string,
  id: string,
  op: Op = "updated",
  { collection = "orders", table = "16384", data = "{}" } = {},
): SourceMessage {
  const schema = { ...ordersRead.version.schema, id: table };
  return {
    ...{ type: "change", key, lane: "p00", data: Buffer.from(data), position: "0001+" as Position },
    kind: { namespace: "public", collection, op, version: { schema, uri: undefined } },
    transaction: { id, time: "2026-01-01T00:00:00.000000Z", lineage: undefined },
  };
}

const keysOf = (held: HeldSlice): readonly string[] => held.take(0, 10, () => false).rows.map(({ key }) => key);

test("a row of which a newer event was handed out is left out, whether that was before it was read or since", () => {
  const held = new HeldSlice(orders);
  held.handedOut([change("1", "new"), change("2", "old")]);
  held.fill(slice(["1", "2", "3", "4"], ["old"]));
  expect(keysOf(held)).toEqual(["2", "3", "4"]);

  held.handedOut([change("3", "new", "deleted"), change("4", "old")]);
  expect(keysOf(held)).toEqual(["2", "4"]);
});

test("a later change that the slice lacks takes the row out, though it has the one before", () => {
  const held = new HeldSlice(orders);
  held.handedOut([change("1", "old"), change("1", "new")]);
  held.fill(slice(["1"], ["old"]));

  expect(keysOf(held)).toEqual([]);
});

test("changes of another collection are no concern of it; those of its own are under any name", () => {
  const held = new HeldSlice(orders);
  held.fill(slice(["1", "2"]));
  held.handedOut([
    change("1", "new", "updated", { collection: "others", table: "999" }),
    change("2", "new", "updated", { collection: "renamed" }),
  ]);

  expect(keysOf(held)).toEqual(["1"]);
});

test("a row of which a newer update lacks values must be read once more, and what may be stored ends before one too many", () => {
  const lacking = { data: '{"op":"updated","unchanged":["doc"]}' };
  const held = new HeldSlice(orders);
  held.handedOut([change("3", "new", "updated", lacking)]);
  held.fill(slice(["1", "2", "3", "4"]));
  expect(held.take(0, 4, () => true)).toMatchObject({ rows: [{ key: "1" }, { key: "2" }, { key: "4" }], owed: ["3"] });
  expect(held.take(0, 4, () => false)).toMatchObject({ rows: [{ key: "1" }, { key: "2" }], owed: [], end: 2 });

  held.handedOut([change("1", "new", "updated", lacking)]);
  expect(held.take(0, 4, () => false)).toEqual({ rows: [], owed: [], end: 0 });
  expect(held.take(0, 4, (key) => key === "1")).toMatchObject({ rows: [{ key: "2" }], owed: ["1"], end: 2 });
  // Whole, or gone.
  held.handedOut([change("1", "new"), change("3", "new", "deleted")]);
  expect(held.take(0, 4, () => false)).toMatchObject({ rows: [{ key: "2" }, { key: "4" }], owed: [], end: 4 });
});

test.each(["before", "since"])("a collection that was emptied %s it was read leaves no row", (when) => {
  const emptied = [change("", "new", "truncated")];
  const held = new HeldSlice(orders);
  if (when === "before") held.handedOut(emptied);
  held.fill(slice(["1", "2"]));
  if (when === "since") held.handedOut(emptied);

  expect(keysOf(held)).toEqual([]);
  expect(held.fault).toBeUndefined();
});

test("emptied by what it shows, it keeps its rows", () => {
  const held = new HeldSlice(orders);
  held.handedOut([change("", "old", "truncated")]);
  held.fill(slice(["1"], ["old"]));

  expect(keysOf(held)).toEqual(["1"]);
});

test("a row that cannot be read spoils it, for nobody knows which one that is", () => {
  const held = new HeldSlice(orders);
  held.fill(slice(["1"]));
  held.handedOut([
    {
      ...{
        type: "poison",
        namespace: "public",
        collection: "orders",
        raw: Buffer.of(),
        sizeBytes: 0,
        sha256: undefined,
      },
      ...{ error: new PoisonError("VALUE", "no"), position: "0002+" as Position },
      transaction: { id: "new", time: "", lineage: undefined },
    },
  ]);

  expect(held.fault).toBe("spoiled");
  expect(keysOf(held)).toEqual([]);
});

test("what may be noted is bounded by bytes: beyond it nothing of the slice is used", () => {
  const held = new HeldSlice(orders, 1000);
  for (let nth = 0; nth < 7; nth++) held.handedOut([change(`${nth}`, "new")]);
  held.fill(slice(["1", "100"]));

  expect(held.fault).toBe("overflowed");
  expect(keysOf(held)).toEqual([]);
});

test("an update without the row after it lacks all of its values", () => {
  const held = new HeldSlice(orders);
  held.fill(slice(["1", "2"]));
  const lacking = { data: '{"op":"updated","key":{"_id":2},"before":null,"after":null,"update":{},"changed":[]}' };
  held.handedOut([change("2", "new", "updated", lacking)]);

  expect(held.take(0, 2, () => false)).toMatchObject({ rows: [{ key: "1" }], end: 1 });
});

test.each([
  { namespace: "public", collection: "orders" },
  { namespace: "public", collection: "aside", to: { namespace: "public", collection: "orders" } },
  { namespace: "public" },
  {},
])("nothing of it is stored behind what was done to the collection: %j", (body) => {
  const held = new HeldSlice(orders);
  held.fill(slice(["1"]));
  const ddl = (data: object): SourceMessage => ({
    ...{ type: "marker", kind: "ddl", id: "1", transaction: undefined, position: "0001+" as Position },
    data: Buffer.from(JSON.stringify({ operationType: "drop", ...data })),
  });
  held.handedOut([ddl({ namespace: "public", collection: "others" }), ddl({ namespace: "aside" })]);
  expect(keysOf(held)).toEqual(["1"]);

  held.handedOut([ddl(body)]);
  expect(held.fault).toBe("spoiled");
});
