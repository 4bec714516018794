// Triggers that ask more of an update than its op: which of them start their automation, by what the event and its own schema say,
// what is refused where they are written, and what compiles.

import { bigint, numeric, pgEnum, pgTable, timestamp } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { type Automation, automation } from "../../../src/automation/define/automation.ts";
import { ColumnTypes } from "../../../src/automation/deliver/column-types.ts";
import { readEvent } from "../../../src/automation/deliver/read-event.ts";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import type { Delivery } from "../../../src/bus/subscription.ts";
import { realClock } from "../../../src/clock.ts";
import { BugError, TransientError } from "../../../src/errors.ts";
import { DECIMAL_NUMBER } from "../../../src/event/collection-schema.ts";
import { collection, fromDrizzle, type Trigger } from "../../../src/index.ts";

interface Order {
  readonly id: string;
  readonly status: "pending" | "paid" | "shipped";
  readonly note: string | null;
  readonly total: string;
  readonly stock: number;
  readonly tags: readonly string[];
  readonly ok: boolean;
}
const columns = {
  id: "number",
  status: ["pending", "paid", "shipped"],
  note: "text",
  total: "number",
  stock: "number",
  tags: "text",
  ok: "boolean",
} as const;
const orders = collection<Order>("shop", "public.orders", { columns });
/** Nothing is said of its columns. */
const untyped = collection<Order>("shop", "public.orders");
const nothing = (): void => {};

const VERSION = "shop.0123456789abcdef";
const HEADERS: Readonly<Record<string, string>> = {
  "ce-id": "shop.1",
  "ce-type": "shop.public.orders.updated",
  "ce-time": "2026-11-29T00:00:00Z",
  "ce-subject": "orders/1",
  "Cdc-Pos": "0001.0000000000000001.0000000000000001.r000001",
};

const schemas = memoryStore();
await schemas.put(
  VERSION,
  {
    columns: [
      { name: "total", value: DECIMAL_NUMBER },
      { name: "note", value: { type: "string" } },
      { name: "deep", value: { type: "object", properties: { n: DECIMAL_NUMBER }, additionalProperties: false } },
    ],
  },
  0,
);

/** What the automation makes of an update: the event, undefined where it is filtered, an error. */
async function read(of: Automation, body: object, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const { op = "updated" } = body as { op?: string };
  const given: Readonly<Record<string, string>> = { ...HEADERS, ...headers };
  const message = {
    subject: `cdc.shop.public.orders.${op}.p03`,
    sequence: 1,
    header: (name: string) => given[name],
    data: Buffer.from(JSON.stringify({ op, key: { id: "1" }, before: null, after: null, ...body })),
  } as unknown as Delivery;
  return readEvent(message, {
    automation: of,
    bus: {
      fetchBody: () => Promise.reject(new BugError("X", "no body is kept apart")),
      read: () => Promise.reject(new BugError("X", "no body is left behind")),
    },
    persist: (operation) => operation(),
    clock: realClock,
    columnTypes: new ColumnTypes({ schemas }),
  });
}

const on = (trigger: Trigger | readonly Trigger[]): Automation => automation("a", { on: trigger }, nothing);
const starts = async (trigger: Trigger | readonly Trigger[], before: object | null, after: object, more: object = {}) =>
  (await read(on(trigger), { before, after, ...more })) !== undefined;
/** The same of an event that names the version of its collection. */
const startsTold = async (trigger: Trigger, before: object | null, after: object, more: object = {}) =>
  (await read(on(trigger), { before, after, ...more }, { "ce-dataschema": `kv:millrace_schemas/${VERSION}` })) !==
  undefined;

describe("updated({ column, from, to })", () => {
  test("takes an update from one of the values to one of the others, and no other one", async () => {
    const paid = orders.updated({ column: "status", from: "pending", to: ["paid", "shipped"] });

    expect(await starts(paid, { status: "pending" }, { status: "paid" })).toBe(true);
    expect(await starts(paid, { status: "pending" }, { status: "shipped" })).toBe(true);
    expect(await starts(paid, { status: "paid" }, { status: "shipped" })).toBe(false);
    expect(await starts(paid, { status: "pending" }, { status: "pending" })).toBe(false);
    expect(await starts(paid, { status: "paid" }, { status: "pending" })).toBe(false);
    expect(await starts(paid, null, { status: "paid" })).toBe(false);
  });

  test("with one end left open takes only an update that changed the column", async () => {
    const paid = orders.updated({ column: "status", to: "paid" });
    const left = orders.updated({ column: "status", from: "pending" });
    const any = orders.updated({ column: "status" });

    expect(await starts(paid, { status: "pending" }, { status: "paid" })).toBe(true);
    expect(await starts(paid, { status: "paid", note: "a" }, { status: "paid", note: "b" })).toBe(false);
    expect(await starts(left, { status: "pending" }, { status: "paid" })).toBe(true);
    expect(await starts(left, { status: "pending", note: "a" }, { status: "pending", note: "b" })).toBe(false);
    expect(await starts(any, { status: "paid" }, { status: "shipped" })).toBe(true);
    expect(await starts(any, { status: "paid" }, { status: "paid" })).toBe(false);
  });

  test("compares numbers by value, null by itself, and never a text in a column of texts as a number", async () => {
    expect(
      await starts(orders.updated({ column: "total", from: 1, to: "2.50" }), { total: "1.00" }, { total: "2.5" }),
    ).toBe(true);
    expect(
      await starts(orders.updated({ column: "note", from: null, to: "1.0" }), { note: null }, { note: "1.0" }),
    ).toBe(true);
    expect(
      await starts(orders.updated({ column: "note", from: null, to: "1.0" }), { note: null }, { note: "1.00" }),
    ).toBe(false);
    expect(await starts(orders.updated({ column: "note", to: null }), { note: "x" }, { note: null })).toBe(true);
  });

  test("starts for a column whose change the log tells though it has no row before", async () => {
    const paid = orders.updated({ column: "status", to: "paid" });
    expect(await starts(paid, null, { status: "paid" }, { changed: ["status"] })).toBe(true);
    expect(await starts(paid, null, { status: "paid" }, { changed: ["note"] })).toBe(false);
    expect(await starts(paid, null, { status: "paid" }, { replaced: true })).toBe(true);
    expect(await starts(paid, null, { status: "paid" })).toBe(false);
  });

  test("of a drizzle table goes by its properties and by what drizzle's select gives", async () => {
    const table = pgTable("orders", {
      id: bigint("id", { mode: "bigint" }).primaryKey(),
      theTotal: numeric("the_total").notNull(),
      placedAt: timestamp("placed_at"),
      mood: pgEnum("mood", ["good", "bad"])("mood").notNull(),
    });
    const of = fromDrizzle("shop", table);
    const row = { id: "9007199254740993", the_total: "1.50", placed_at: "2026-11-29T10:00:00", mood: "good" };

    const worse = of.updated({ column: "mood", from: "good", to: "bad" });
    expect(await starts(worse, row, { ...row, mood: "bad" }, { changed: ["mood"] })).toBe(true);
    const counted = of.updated({ column: "id", to: 9007199254740993n });
    expect(await starts(counted, { ...row, id: "9007199254740992" }, row)).toBe(true);
    const placed = of.updated({ column: "placedAt", from: null, to: new Date("2026-11-29T10:00:00Z") });
    expect(await starts(placed, { ...row, placed_at: null }, row)).toBe(true);
    expect(await starts(of.changed("theTotal"), row, { ...row, the_total: "1.5" })).toBe(false);
    expect(await starts(of.crosses("theTotal", { above: 2 }), row, { ...row, the_total: "2.01" })).toBe(true);
  });
});

describe("changed", () => {
  test("takes an update of any of the columns", async () => {
    const either = orders.changed("note", "tags");

    expect(await starts(either, { note: "a", tags: ["x"] }, { note: "b", tags: ["x"] })).toBe(true);
    expect(await starts(either, { note: "a", tags: ["x"] }, { note: "a", tags: ["y"] })).toBe(true);
    expect(await starts(either, { note: "a", tags: ["x"] }, { note: "a", tags: ["x"], stock: 2 })).toBe(false);
    expect(await starts(either, { tags: ["x"] }, { note: null, tags: ["x"] })).toBe(true);
    expect(await starts(either, { note: "a", tags: [] }, { tags: [] }, { unchanged: ["note"] })).toBe(false);
  });

  test("goes by what the log says of the columns, and by the rows where it says nothing", async () => {
    const note = orders.changed("note");
    expect(await starts(note, null, { note: "b" }, { changed: ["note"] })).toBe(true);
    expect(await starts(note, null, { note: "b" }, { changed: ["tags"] })).toBe(false);
    // A number inside of a document that no double holds: the rows look the same.
    expect(await starts(note, { note: 1 }, { note: 1 }, { changed: ["note"] })).toBe(true);
    expect(await starts(note, null, { note: "b" })).toBe(false);
  });

  test("takes 1.0 and 1.00 of a number for the same, and two numbers of twenty digits for what they are", async () => {
    const total = orders.changed("total");
    expect(await starts(total, { total: "1.0" }, { total: "1.00" }, { changed: ["total"] })).toBe(false);
    expect(await starts(total, { total: "NaN" }, { total: "NaN" })).toBe(false);
    expect(await starts(total, { total: "NaN" }, { total: "1" })).toBe(true);
    const [one, other] = ["12345678901234567890.01", "12345678901234567890.02"];
    expect(await starts(total, { total: one }, { total: other })).toBe(true);
  });
});

describe("crosses", () => {
  test("takes an update over the limit in its direction, with both values in the event", async () => {
    const low = orders.crosses("stock", { below: 10 });
    const high = orders.crosses("stock", { above: 10 });

    expect(await starts(low, { stock: 10 }, { stock: 9 })).toBe(true);
    expect(await starts(low, { stock: 10 }, { stock: 10 })).toBe(false);
    expect(await starts(low, { stock: 9 }, { stock: 8 })).toBe(false);
    expect(await starts(low, { stock: 9 }, { stock: 11 })).toBe(false);
    expect(await starts(high, { stock: 10 }, { stock: 11 })).toBe(true);
    expect(await starts(high, { stock: 11 }, { stock: 12 })).toBe(false);
    for (const [before, after] of [[null, { stock: 9 }] as const, [{ stock: null }, { stock: 9 }] as const])
      expect(await starts(low, before, after)).toBe(false);
    expect(await starts(low, { stock: 10 }, { stock: null })).toBe(false);
    expect(await starts(low, {}, { stock: 1 })).toBe(false);
  });

  test("compares texts with all their digits", async () => {
    const over = orders.crosses("total", { above: "12345678901234567890.01" });
    expect(await starts(over, { total: "12345678901234567890.01" }, { total: "12345678901234567890.02" })).toBe(true);
    expect(await starts(over, { total: "12345678901234567890.00" }, { total: "12345678901234567890.01" })).toBe(false);
    expect(await starts(untyped.crosses("total", { below: 100 }), { total: "100.00" }, { total: "99.99" })).toBe(true);
    expect(await starts(untyped.crosses("total", { below: 100n }), { total: "9.5" }, { total: "10.5" })).toBe(false);
  });
});

test("truncated takes the event of a whole table", async () => {
  expect(await read(on(orders.truncated()), { op: "truncated", key: null })).toMatchObject({ op: "truncated" });
  expect(await read(on(orders.truncated()), { before: {}, after: {} })).toBeUndefined();
});

test("of a list of triggers the first that takes an event hands it to the handler", async () => {
  const list = [orders.updated({ column: "status", to: "paid" }), orders.crosses("stock", { below: 10 })];
  expect(await starts(list, { status: "pending", stock: 20 }, { status: "paid", stock: 20 })).toBe(true);
  expect(await starts(list, { status: "paid", stock: 20 }, { status: "paid", stock: 2 })).toBe(true);
  expect(await starts(list, { status: "paid", stock: 20 }, { status: "paid", stock: 19 })).toBe(false);
});

describe("where nothing is said of the columns, the event's own version of its collection is asked", () => {
  test("and numbers compare as numbers, in triggers as in where", async () => {
    expect(await startsTold(untyped.changed("total"), { total: "1.0" }, { total: "1.00" })).toBe(false);
    expect(await starts(untyped.changed("total"), { total: "1.0" }, { total: "1.00" })).toBe(true);
    expect(await startsTold(untyped.changed("note"), { note: "1.0" }, { note: "1.00" })).toBe(true);
    const to = untyped.updated({ column: "total", to: 5 });
    expect(await startsTold(to, { total: "4.00" }, { total: "5.00" })).toBe(true);

    const where = { after: { total: [{ numeric: [">=", 100, "<", "600.00"] }], note: [{ "anything-but": "1" }] } };
    const picked = automation("a", { on: untyped.updated(), where: where as never }, nothing);
    const told = { "ce-dataschema": `kv:millrace_schemas/${VERSION}` };
    const row = (total: string, note = "x") => ({ after: { total, note } });
    expect(await read(picked, row("100.00"), told)).toBeDefined();
    expect(await read(picked, row("600.00"), told)).toBeUndefined();
    expect(await read(picked, row("99.99"), told)).toBeUndefined();
    expect(await read(picked, row("100.00", "1.0"), told)).toBeDefined();
    // No version: texts are texts.
    expect(await read(picked, row("100.00"))).toBeUndefined();
  });

  test("also inside of a composite type, while operators for texts still take the texts", async () => {
    const told = { "ce-dataschema": `kv:millrace_schemas/${VERSION}` };
    const where = { after: { deep: { n: [5] }, total: [{ prefix: "1" }, 7] } } as never;
    const deep = automation("a", { on: untyped.updated(), where }, nothing);
    expect(await read(deep, { after: { deep: { n: "5.0" }, total: "12" } }, told)).toBeDefined();
    expect(await read(deep, { after: { deep: { n: "5.0" }, total: "7.0" } }, told)).toBeDefined();
    expect(await read(deep, { after: { deep: { n: "5.1" }, total: "12" } }, told)).toBeUndefined();
  });

  test("and one that the bus does not have is a failure, not a filtered event", async () => {
    const lost = { "ce-dataschema": "kv:millrace_schemas/shop.ffffffffffffffff" };
    const found = await read(on(untyped.changed("total")), { before: {}, after: {} }, lost);
    expect(found).toBeInstanceOf(TransientError);
    expect(found).toMatchObject({ code: "EVENT_SCHEMA_MISSING" });
    // Who needs no types does not ask.
    expect(await read(on(untyped.updated()), { after: {} }, lost)).toMatchObject({ op: "updated" });
  });
});

test.each<readonly [string, () => unknown, string]>([
  ["an unknown column", () => orders.changed("nte" as never), 'there is no column "nte"'],
  ["an unknown column of updated", () => orders.updated({ column: "stats" as never }), 'there is no column "stats"'],
  [
    "no label of the enum",
    () => orders.updated({ column: "status", from: "payed" as never }),
    '"payed" is no label of the column',
  ],
  ["an empty list", () => orders.updated({ column: "status", to: [] as never }), "to is an empty list"],
  [
    "an object as a value",
    () => orders.updated({ column: "note", to: { prefix: "x" } as never }),
    "to is no plain value",
  ],
  ["the same at both ends", () => orders.updated({ column: "status", from: "paid", to: ["paid"] }), "the same value"],
  ["from without a column", () => orders.updated({ from: "paid" } as never), "are of no column"],
  ["a misspelled option", () => orders.updated({ colum: "status" } as never), "there is no such option"],
  ["no column", () => orders.changed(...([] as unknown as ["note"])), "takes names of columns"],
  ["a limit of a text", () => orders.crosses("note", { below: 1 }), "note is no number"],
  ["two limits", () => orders.crosses("stock", { below: 1, above: 2 } as never), "takes one of below and above"],
  ["no limit", () => orders.crosses("stock", {} as never), "takes one of below and above"],
  ["a limit that is no number", () => orders.crosses("stock", { below: "low" }), "the limit is no number"],
  ["a reset", () => orders.crosses("stock", { below: 10, reset: 12 } as never), "there is no reset yet"],
])("%s is refused where the trigger is written", (_what, make, message) => {
  expect(make).toThrow(expect.objectContaining({ name: "ConfigError", message: expect.stringContaining(message) }));
});

test("what a trigger compares is needed of the events, beside what the handler reads", () => {
  const needs = (trigger: Trigger) =>
    on(trigger).needs.map(({ images, columns: of, orChanged, by }) => ({ images, of, orChanged, by }));
  const read = { images: ["after"], of: undefined, orChanged: undefined, by: undefined };
  const compared = (of: string, orChanged?: true) => ({ images: ["before"], of: [[of]], orChanged, by: "trigger" });

  expect(needs(orders.updated())).toEqual([read]);
  expect(needs(orders.updated({ column: "status", from: "paid" }))).toEqual([read, compared("status")]);
  expect(needs(orders.updated({ column: "status", to: "paid" }))).toEqual([read, compared("status", true)]);
  expect(needs(orders.changed("note"))).toEqual([read, compared("note", true)]);
  expect(needs(orders.crosses("stock", { above: 1 }))).toEqual([read, compared("stock")]);
});

test("the types know columns, labels, and where a row before is sure to be there", () => {
  automation("a", { on: orders.updated({ column: "status", from: "pending" }) }, ({ event }) => {
    const before: "pending" | "paid" | "shipped" = event.before.status;
    const after: string = event.after.total;
    return void [before, after];
  });
  automation(
    "b",
    { on: orders.crosses("total", { below: 10 }), filter: ({ event }) => event.before.total !== "" },
    nothing,
  );
  automation("c", { on: orders.updated({ column: "total", to: [10, "20.50"] }) }, nothing);
  automation("d", { on: collection("shop", "public.orders").changed("whatever") }, nothing);
  const table = pgTable("orders", {
    id: bigint("id", { mode: "bigint" }).primaryKey(),
    mood: pgEnum("mood", ["good", "bad"])("mood").notNull(),
    placedAt: timestamp("placed_at"),
  });
  const of = fromDrizzle("shop", table);
  automation(
    "e",
    { on: of.updated({ column: "mood", to: "bad" }), filter: ({ event }) => event.after.id > 1n },
    nothing,
  );
  automation("f", { on: of.updated({ column: "placedAt", to: [new Date(0), "2026-11-29T10:00:00.000Z"] }) }, nothing);
  // As `millrace types` writes an enum, which may grow.
  const grown = collection<{ readonly status: "pending" | "paid" | (string & {}) }>("shop", "public.orders");
  automation("g", { on: grown.updated({ column: "status", from: "pending", to: ["paid"] }) }, nothing);
  const wrong = (): void => {
    // @ts-expect-error no label that was known
    grown.updated({ column: "status", from: "payed" });
    // @ts-expect-error no such column
    orders.changed("status", "totl");
    // @ts-expect-error no such column
    orders.updated({ column: "totl", to: "1" });
    // @ts-expect-error no label of the enum
    orders.updated({ column: "status", from: "payed" });
    // @ts-expect-error no label of the enum, in a list
    orders.updated({ column: "status", to: ["paid", "payed"] });
    // @ts-expect-error the column is never null
    orders.updated({ column: "status", to: null });
    // @ts-expect-error from without a column
    orders.updated({ from: "paid" });
    // @ts-expect-error no number
    orders.crosses("ok", { below: 1 });
    // @ts-expect-error two limits
    orders.crosses("stock", { below: 1, above: 2 });
    // @ts-expect-error no reset yet
    orders.crosses("stock", { below: 1, reset: 2 });
    // @ts-expect-error of an update there may be no row before
    automation("a", { on: orders.updated() }, ({ event }) => void event.before.total);
    // @ts-expect-error what is created has none
    automation("a", { on: orders.created(), filter: ({ event }) => event.before.total === "1" }, nothing);
    // @ts-expect-error what is deleted has none after
    automation("a", { on: orders.deleted() }, ({ event }) => void event.after.total);
    // @ts-expect-error a truncated table has no rows
    automation("a", { on: orders.truncated() }, ({ event }) => void event.after.total);
    // @ts-expect-error no such column of the row after
    automation("a", { on: orders.created(), filter: ({ event }) => event.after.totl === "1" }, nothing);
    // @ts-expect-error a filter says yes or no
    automation("a", { on: orders.created(), filter: ({ event }) => event.after.note }, nothing);
    // @ts-expect-error no such property of the drizzle table
    of.changed("placed_at");
    // @ts-expect-error no label of its enum
    of.updated({ column: "mood", from: "ugly" });
    // @ts-expect-error the value is a date, or its text
    of.updated({ column: "placedAt", to: 5 });
  };
  expect(wrong).toBeTypeOf("function");
});
