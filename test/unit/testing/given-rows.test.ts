// Rows that the test kit is given: typed by their collection, and written as the source of it would write them.

import {
  bigint,
  customType,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgSchema,
  text,
  timestamp,
} from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { event } from "../../../src/automation/define/event-trigger.ts";
import { fromDrizzle } from "../../../src/automation/define/from-drizzle.ts";
import { emitted, given } from "../../../src/testing.ts";

const bytes = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const mood = pgEnum("mood", ["sad", "happy"]);
const table = pgSchema("shop").table("items", {
  itemId: bigint("item_id", { mode: "bigint" }).primaryKey(),
  count: integer(),
  views: bigint({ mode: "number" }),
  price: numeric({ precision: 10, scale: 2 }),
  ratio: doublePrecision(),
  madeAt: timestamp("made_at", { withTimezone: true }),
  localAt: timestamp("local_at"),
  day: date(),
  tags: text().array(),
  extra: jsonb().$type<{ readonly a: readonly number[] }>(),
  raw: bytes(),
  mood: mood(),
});
const items = fromDrizzle("shop", table);
const row = {
  ...{
    itemId: 9007199254740993n,
    count: 3,
    views: 7,
    price: "1.50",
    ratio: 0.1,
    day: "2026-02-28",
    tags: ["a,b", "c"],
  },
  ...{ madeAt: new Date("2026-02-28T10:00:00.120Z"), localAt: new Date("2026-02-28T10:00:00Z") },
  ...{ extra: { a: [1, 2] }, raw: Buffer.from("abc"), mood: "happy" as const },
};

test("a row of a drizzle table reaches the handler as drizzle's own select gives it, by way of what Postgres would write", async () => {
  const change = items.row(row).updatedTo({ price: "2.00", madeAt: null });
  const seen: unknown[] = [];
  const look = automation("look", { on: items.updated() }, ({ event: got }) => void seen.push(got));
  await given([change]).when(look);

  expect(change.body).toEqual({
    op: "updated",
    key: { item_id: "9007199254740993" },
    before: {
      ...{
        item_id: "9007199254740993",
        count: 3,
        views: "7",
        price: "1.50",
        ratio: 0.1,
        made_at: "2026-02-28T10:00:00.12Z",
      },
      ...{
        local_at: "2026-02-28T10:00:00",
        day: "2026-02-28",
        tags: ["a,b", "c"],
        extra: { a: [1, 2] },
        raw: "YWJj",
        mood: "happy",
      },
    },
    after: expect.objectContaining({ price: "2.00", made_at: null }),
    changed: ["price", "made_at"],
  });
  expect(seen).toMatchObject([
    { key: { itemId: row.itemId }, before: row, after: { ...row, price: "2.00", madeAt: null } },
  ]);
});

test("a value that is none of the drizzle column's, or a property that there is not, is refused by its name", () => {
  expect(() => items.row({ itemId: 1n, count: "x" as never })).toThrow(/count is none of a PgInteger/);
  expect(() => items.row({ itemId: 1n, day: "never" })).not.toThrow();
  expect(() => items.row({ itemId: 1n, madeAt: "x" as never })).toThrow(
    expect.objectContaining({ code: "TESTING_VALUE" }),
  );
  expect(() => items.row({ itemId: 1n, madeAt: new Date(Number.NaN) })).toThrow(/an invalid Date/);
  expect(() => items.row({ itemId: 1n, price_: "1" } as never)).toThrow(/declares no price_/);
});

test("what JavaScript has and JSON has not is written as Postgres would write it", () => {
  const wide = collection<{ id: bigint; at: Date; bytes: Uint8Array; ratio: number; list: readonly bigint[] }>(
    "shop",
    "public.wide",
  );
  const values = {
    id: 1n,
    at: new Date("2026-01-01T00:00:00Z"),
    bytes: Buffer.from("a"),
    ratio: Number.NaN,
    list: [2n],
  };

  expect(wide.row(values).created().body).toEqual({
    ...{ op: "created", key: { id: "1" }, before: null },
    after: { id: "1", at: "2026-01-01T00:00:00Z", bytes: "YQ==", ratio: "NaN", list: ["2"] },
  });
});

test("columns and their values are those of the row, or it does not compile", () => {
  interface Order {
    readonly id: number;
    readonly status: "new" | "paid";
    readonly note: string;
  }
  const orders = collection<Order, { id: number }, "note">("shop", "public.orders");
  const one = orders.row({ id: 1, status: "new" });
  const placed = event<{ total: number }>("order.placed");
  const compiles = () => [
    one.updatedTo({ status: "paid" }, { unchanged: ["note"] }),
    // @ts-expect-error there is no such column
    orders.row({ id: 1, state: "new" }),
    // @ts-expect-error no label of the status
    orders.row({ id: 1, status: "sent" }),
    // @ts-expect-error no number
    orders.row({ id: "1" }),
    // @ts-expect-error there is no such column
    one.updatedTo({ state: "paid" }),
    // @ts-expect-error no label of the status
    one.updatedTo({ status: "sent" }),
    // @ts-expect-error a log never leaves the status out
    one.updatedTo({ status: "paid" }, { unchanged: ["status"] }),
    // @ts-expect-error there is no such column
    orders.row({ id: 1 }, { key: ["order"] }),
    // @ts-expect-error a bigint in this table
    items.row({ itemId: 1 }),
    // @ts-expect-error there is no such property
    items.row({ itemId: 1n }).updatedTo({ made_at: null }),
    // @ts-expect-error no label of the enum
    items.row({ itemId: 1n }).updatedTo({ mood: "angry" }),
    emitted(placed, { key: 1, data: { total: 1 } }),
    // @ts-expect-error the total is a number
    emitted(placed, { key: 1, data: { total: "1" } }),
    // @ts-expect-error there is no total
    emitted(placed, { key: 1, data: {} }),
  ];
  expect(compiles).toBeTypeOf("function");
});
