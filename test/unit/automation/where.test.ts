// What `where` does to an automation: which events start its handler, what is refused where it is written, what compiles.

import { bigint, integer, numeric, pgEnum, pgTable, timestamp } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { type Automation, automation } from "../../../src/automation/define/automation.ts";
import { ColumnTypes } from "../../../src/automation/deliver/column-types.ts";
import { readEvent } from "../../../src/automation/deliver/read-event.ts";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import type { Delivery } from "../../../src/bus/subscription.ts";
import { realClock } from "../../../src/clock.ts";
import { BugError, PoisonError } from "../../../src/errors.ts";
import { collection, event, fromDrizzle, system, type Trigger } from "../../../src/index.ts";

interface Order {
  readonly id: string;
  readonly status: "new" | "paid";
  readonly note: string | null;
  readonly total: string;
  readonly lines: readonly { readonly sku: string; readonly n: number }[];
  readonly ok: boolean;
}
const columns = {
  id: "number",
  status: ["new", "paid"],
  note: "text",
  total: "number",
  lines: "json",
  ok: "boolean",
} as const;
const orders = collection<Order>("shop", "public.orders", { columns });
const untyped = collection<Order>("shop", "public.orders");
const nothing = (): void => {};

const HEADERS: Readonly<Record<string, string>> = {
  "ce-id": "shop.1",
  "ce-time": "2026-11-29T00:00:00Z",
  "ce-subject": "orders/1",
  "Cdc-Pos": "0001.0000000000000001.0000000000000001.r000001",
};

/** What the automation makes of a change: the event, undefined where it is filtered, an error. */
function read(of: Automation, op: string, body: object, table = "orders"): unknown {
  const message = {
    subject: `cdc.shop.public.${table}.${op}.p03`,
    sequence: 1,
    header: (name: string) => (name === "ce-type" ? `shop.public.${table}.${op}` : HEADERS[name]),
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
    columnTypes: new ColumnTypes({ schemas: memoryStore() }),
  });
}

const starts = (of: Automation, op: string, body: object, table?: string): boolean =>
  read(of, op, body, table) !== undefined;

describe("where", () => {
  test("lets the handler start for events that match, and filters the others", () => {
    const large = automation(
      "large",
      { on: orders.created(), where: { after: { total: [{ numeric: [">", 100] }] } } },
      nothing,
    );

    expect(starts(large, "created", { after: { total: "100.01" } })).toBe(true);
    expect(starts(large, "created", { after: { total: "99" } })).toBe(false);
    expect(starts(large, "created", { after: { total: "NaN" } })).toBe(false);
  });

  test("without it every event of the trigger starts it", () => {
    expect(starts(automation("all", { on: orders.created() }, nothing), "created", { after: {} })).toBe(true);
  });

  test("knows each trigger's own columns", () => {
    const refunds = collection<Order>("shop", "public.refunds", { columns: { ...columns, total: "text" } });
    const on = [orders.created(), refunds.created()];
    const both = automation("both", { on, where: { after: { total: ["1.0"] } } }, nothing);

    expect(starts(both, "created", { after: { total: "1.00" } })).toBe(true);
    expect(starts(both, "created", { after: { total: "1.00" } }, "refunds")).toBe(false);
    expect(starts(both, "created", { after: { total: "1.0" } }, "refunds")).toBe(true);
  });

  test("of drizzle's rows goes by its properties, and by what the handler gets", () => {
    const mood = pgEnum("mood", ["good", "bad"]);
    const table = pgTable("orders", {
      id: bigint("id", { mode: "bigint" }).primaryKey(),
      theTotal: numeric("the_total").notNull(),
      placedAt: timestamp("placed_at"),
      mood: mood("mood"),
      count: integer("count"),
    });
    const on = fromDrizzle("shop", table).created();
    const where = {
      after: {
        id: ["9007199254740993"],
        theTotal: [{ numeric: [">", 1] }],
        placedAt: [{ prefix: "2026-11-29T" }],
        mood: ["good"],
      },
    } as const;
    const typed = automation("typed", { on, where }, nothing);
    const row = { id: "9007199254740993", the_total: "1.50", placed_at: "2026-11-29T10:00:00", mood: "good", count: 1 };

    expect(starts(typed, "created", { after: row })).toBe(true);
    expect(starts(typed, "created", { after: { ...row, id: "9007199254740992" } })).toBe(false);
    expect(starts(typed, "created", { after: { ...row, the_total: "1.00" } })).toBe(false);
    expect(() => automation("typed", { on, where: { after: { mood: ["ugly"] } } as never }, nothing)).toThrow(
      /no label/,
    );
    expect(() => automation("typed", { on, where: { after: { the_total: [1] } } as never }, nothing)).toThrow(
      expect.objectContaining({ hint: 'did you mean "theTotal"?' }),
    );
    const raw = automation(
      "raw",
      { on: fromDrizzle("shop", table, { raw: true }).created(), where: { after: { the_total: [1.5] } } },
      nothing,
    );
    expect(starts(raw, "created", { after: row })).toBe(true);
  });

  test("makes poison of an event that it cannot be held against", () => {
    const names = ["x", "y", "z", "u", "v"];
    const where = { after: { lines: { a: { b: Object.fromEntries(names.map((name) => [name, [1]])) } } } };
    const deep = automation("deep", { on: untyped.created(), where: where as never }, nothing);
    const list = Array.from({ length: 300 }, () => Object.fromEntries(names.map((name) => [name, 1])));
    const after = { lines: { "a.b": list, a: { b: list } } };

    expect(read(deep, "created", { after })).toMatchObject({ code: "PATTERN_AMBIGUOUS" });
    expect(read(deep, "created", { after })).toBeInstanceOf(PoisonError);
  });
});

/** Who writes JavaScript, or casts, has no compiler to tell. */
const define = (on: Trigger | readonly Trigger[], where: object): Automation =>
  automation("receipt", { on, where: where as never }, nothing);

test.each<readonly [string, Trigger | readonly Trigger[], object, string]>([
  ["no object", orders.created(), ["x"], "receipt: where: expected an object"],
  [
    "an unknown column",
    orders.created(),
    { after: { totl: [1] } },
    'receipt: where.after.totl: there is no column "totl"',
  ],
  [
    "no label",
    orders.created(),
    { after: { status: ["payed"] } },
    'receipt: where.after.status[0]: "payed" is no label',
  ],
  [
    "a misspelled field",
    untyped.created(),
    { aftre: { total: [1] } },
    'receipt: where.aftre: no such event has a field "aftre"',
  ],
  [
    "before of what is created",
    orders.created(),
    { before: { status: ["new"] } },
    'it can never match: "before" is null',
  ],
  [
    "after of what is deleted",
    untyped.deleted(),
    { after: { status: ["new"] } },
    'it can never match: "after" is null',
  ],
  ["another op", orders.updated(), { op: ["created"] }, 'receipt: where.op: it can never match: "op" is "updated"'],
  ["another collection", orders.updated(), { collection: [{ prefix: "x" }] }, '"collection" is "orders"'],
  [
    "what only one of the triggers can have",
    [orders.updated(), orders.deleted()],
    { after: { ok: [true] } },
    '"after" is null',
  ],
  [
    "branches of which none can hold",
    orders.created(),
    { $or: [{ op: ["deleted"] }, { before: { ok: [true] } }] },
    "where.$or[0].op",
  ],
  [
    "a field of a change for a domain event",
    event("order.placed"),
    { after: { ok: [true] } },
    'no such event has a field "after"',
  ],
  ["another type", event("order.placed"), { type: ["order.paid"] }, '"type" is "order.placed"'],
])("%s in where is refused where the automation is defined", (_what, on, where, message) => {
  expect(() => define(on, where)).toThrow(
    expect.objectContaining({
      name: "ConfigError",
      code: "PATTERN_INVALID",
      message: expect.stringContaining(message),
    }),
  );
});

test("what only some of the branches need may be another trigger's", () => {
  const where = { $or: [{ after: { status: ["paid"] } }, { before: { status: ["paid"] } }] };
  const gone = define([orders.updated(), orders.deleted()], where);

  expect(starts(gone, "deleted", { before: { status: "paid" } })).toBe(true);
  expect(starts(gone, "updated", { after: { status: "new" } })).toBe(false);
  expect(() => define(orders.created(), { before: [null] })).not.toThrow();
  expect(() => define(orders.created(), { before: { ok: [{ exists: false }] } })).not.toThrow();
});

test("what a where cannot hold without is needed of the events, beside what the handler reads", () => {
  const needs = (on: Trigger, where: object) => define(on, where).needs.map(({ images, by }) => [images, by]);

  expect(needs(orders.updated(), { before: { status: ["new"] } })).toEqual([
    [["after"], undefined],
    [["before"], "where"],
  ]);
  expect(needs(orders.updated({ images: [] }), { after: { status: ["new"] }, op: ["updated"] })).toEqual([
    [["after"], "where"],
  ]);
  const either = { $or: [{ before: { status: ["new"] } }, { key: { id: [1] } }] };
  expect(needs(orders.deleted(), either)).toEqual([]);
  expect(needs(orders.deleted(), { before: { note: [{ exists: false }] } })).toEqual([]);
  expect(needs(event("order.placed"), { key: ["x"] })).toEqual([]);
});

test("the types know rows, labels, arrays, nulls and the events of lists", () => {
  automation(
    "a",
    { on: orders.updated(), where: { op: ["updated"], after: { status: ["paid", { "anything-but": "new" }] } } },
    nothing,
  );
  automation(
    "b",
    {
      on: orders.created(),
      where: { after: { lines: { sku: [{ prefix: "x" }], n: [{ numeric: [">", 1, "<=", 3] }] } } },
    },
    nothing,
  );
  automation(
    "c",
    { on: orders.created(), where: { after: { note: [null, "x", { exists: false }], ok: [true] }, before: [null] } },
    nothing,
  );
  automation(
    "d",
    { on: [orders.updated(), orders.deleted()], where: { $or: [{ after: { id: ["1"] } }, { before: { id: [1] } }] } },
    nothing,
  );
  automation(
    "e",
    { on: event<{ readonly amount: number }>("order.placed"), where: { data: { amount: [{ numeric: ["<", 5] }] } } },
    nothing,
  );
  automation("f", { on: system("lag"), where: { data: { state: ["full"] } } }, nothing);
  // As `millrace types` writes an enum, which may grow.
  const grown = collection<{ readonly status: "new" | "paid" | (string & {}) }>("shop", "public.orders");
  automation("g", { on: grown.created(), where: { after: { status: ["paid", { prefix: "n" }] } } }, nothing);
  const wrong = (): void => {
    // @ts-expect-error no label that was known
    automation("a", { on: grown.created(), where: { after: { status: ["payed"] } } }, nothing);
    // @ts-expect-error no such column
    automation("a", { on: orders.created(), where: { after: { totl: [1] } } }, nothing);
    // @ts-expect-error no such field of an event
    automation("a", { on: orders.created(), where: { aftr: { total: [1] } } }, nothing);
    // @ts-expect-error no label of the enum
    automation("a", { on: orders.created(), where: { after: { status: ["payed"] } } }, nothing);
    // @ts-expect-error no label of the enum, as what it must not be
    automation("a", { on: orders.created(), where: { after: { status: [{ "anything-but": "payed" }] } } }, nothing);
    // @ts-expect-error a bare value
    automation("a", { on: orders.created(), where: { after: { ok: true } } }, nothing);
    // @ts-expect-error a text is no boolean
    automation("a", { on: orders.created(), where: { after: { ok: ["true"] } } }, nothing);
    // @ts-expect-error the column is never null
    automation("a", { on: orders.created(), where: { after: { total: [null] } } }, nothing);
    // @ts-expect-error there is no row before
    automation("a", { on: orders.created(), where: { before: { total: [1] } } }, nothing);
    // @ts-expect-error there is no row after
    automation("a", { on: orders.deleted(), where: { after: { total: [1] } } }, nothing);
    // @ts-expect-error a range goes up
    automation("a", { on: orders.created(), where: { after: { total: [{ numeric: ["<", 5, ">", 1] }] } } }, nothing);
    // @ts-expect-error no such operator
    automation("a", { on: orders.created(), where: { after: { note: [{ startsWith: "x" }] } } }, nothing);
    // @ts-expect-error one alternative is none
    automation("a", { on: orders.created(), where: { $or: [{ op: ["created"] }] } }, nothing);
    const placed = event<{ readonly amount: number }>("order.placed");
    // @ts-expect-error no such member of the event's data
    automation("a", { on: placed, where: { data: { amout: [1] } } }, nothing);
    const customers = collection<{ readonly id: string; readonly name: string }>("shop", "public.customers");
    // @ts-expect-error one of the two has no such column
    automation("a", { on: [orders.created(), customers.created()], where: { after: { name: ["x"] } } }, nothing);
  };
  expect(wrong).toBeTypeOf("function");
});
