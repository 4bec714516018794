// What compiles, and what does not: programs as applications write them, of rows from all that types may come from. Both count: a right
// program that is refused is as bad as a wrong one that is not. The compiler is the test; at run time each right one is defined.

import {
  bigint,
  customType,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgSchema,
  pgTable,
  primaryKey,
  text,
  timestamp,
  varchar,
} from "drizzle-orm/pg-core";
import * as v from "valibot";
import { expect, test } from "vitest";
import * as z from "zod";
import {
  type AnyEvent,
  type AnyKey,
  type Automation,
  type AutomationOptions,
  automation,
  type ChangeTrigger,
  type Collection,
  type CreatedEvent,
  collection,
  type DeadData,
  event,
  fromDrizzle,
  type Handler,
  type HandlerContext,
  manual,
  type SystemEvent,
  schedule,
  send,
  system,
  type Trigger,
  webhook,
} from "../../../src/index.ts";

type OrderId = string & { readonly __brand: "OrderId" };
interface Order {
  readonly id: OrderId;
  readonly status: "new" | "paid";
  readonly code: `o-${string}`;
  readonly total: string;
  readonly note?: string;
  readonly ok: boolean | null;
  readonly meta: { readonly kind: "a"; readonly x: number } | { readonly kind: "b"; readonly y: string } | null;
}
interface Customer {
  readonly id: string;
  readonly name: string;
  readonly ok: boolean;
}
const orders = collection<Order, Pick<Order, "id">>("shop", "public.orders");
const customers = collection<Customer>("shop", "public.customers");
const nothing = (): void => {};
const wrong = (_program: () => unknown): void => {};

test("rows with optional properties, marked texts and JSON of several shapes", () => {
  automation("a", { on: orders.created(), where: { after: { note: ["x", { exists: false }] } } }, nothing);
  automation("b", { on: orders.updated({ column: "note", from: "x" }) }, ({ event: { before } }) => void before.note);
  automation("c", { on: orders.created(), where: { after: { id: ["7", { prefix: "x" }], code: ["o-1"] } } }, nothing);
  automation("d", { on: orders.updated({ column: "id", from: "7", to: "8" as OrderId }) }, nothing);
  automation("e", { on: orders.created(), where: { after: { meta: { kind: ["a"], x: [1] } } } }, nothing);
  automation(
    "f",
    { on: orders.created(), where: { after: { $or: [{ meta: { y: ["1"] } }, { ok: [null] }] } } },
    nothing,
  );
  automation("g", { on: orders.created(), where: { after: { meta: [null] } } }, nothing);
  wrong(() => {
    // @ts-expect-error no shape of the JSON has it
    automation("a", { on: orders.created(), where: { after: { meta: { z: [1] } } } }, nothing);
    // @ts-expect-error no text of this form
    automation("a", { on: orders.created(), where: { after: { code: ["x-1"] } } }, nothing);
    // @ts-expect-error a text is no boolean
    automation("a", { on: orders.updated({ column: "ok", to: "true" }) }, nothing);
  });
});

test("lists of triggers with different rows", () => {
  const both = [orders.created(), customers.created()] as const;
  automation("a", { on: both, where: { after: { ok: [true] } } }, ({ event }) => {
    const id: string = event.after.id;
    return "name" in event.after ? void event.after.name : void id;
  });
  automation("b", { on: both, where: { $or: [{ after: { status: ["paid"] } }, { after: { name: ["x"] } }] } }, nothing);
  automation("c", { on: [orders.created(), orders.updated(), orders.deleted()] }, ({ event }) => {
    if (event.op === "deleted") return void (event.after satisfies null);
    const row: Order = event.after;
    return void row;
  });
  automation(
    "d",
    {
      on: [orders.created(), event<{ a: number }>("x.y"), manual(z.object({ q: z.string() })), schedule("every 5m")],
      where: { $or: [{ after: { status: ["new"] } }, { data: { a: [1] } }, { data: { q: ["x"] } }] },
    },
    ({ event }) => ("op" in event ? void event.after.total : undefined),
  );
  automation("e", { on: [system("dead"), webhook<{ z: 1 }>("pay", "a.b")] }, nothing);
  wrong(() => {
    // @ts-expect-error only one of them has it
    automation("a", { on: both, where: { after: { name: ["x"] } } }, nothing);
    // @ts-expect-error none of them has it, in a branch
    automation("a", { on: both, where: { $or: [{ after: { nme: ["x"] } }, { after: { name: ["x"] } }] } }, nothing);
    // @ts-expect-error no label, in a branch
    automation("a", { on: both, where: { $or: [{ after: { status: ["payed"] } }, { op: ["read"] }] } }, nothing);
  });
});

test("data by schemas of zod and Valibot: what they make of it, of one shape or several", () => {
  const kinds = z.discriminatedUnion("t", [
    z.object({ t: z.literal("a"), x: z.number() }),
    z.object({ t: z.literal("b"), y: z.string().brand<"Y">() }),
  ]);
  automation(
    "a",
    { on: event("o.p", kinds), where: { data: { t: ["a"], x: [1], y: ["z"] } } },
    ({ event: { data } }) => {
      if (data.t === "a") data.x.toFixed();
    },
  );
  const grown = z.object({ at: z.coerce.date(), n: z.bigint().optional() }).transform((one) => ({ ...one, big: 1 }));
  automation(
    "b",
    { on: event("o.p", grown), where: { data: { big: [1], at: [{ prefix: "2026" }], n: [1] } } },
    ({ event }) => void event.data.at.getTime(),
  );
  automation(
    "c",
    { on: event("o.p", v.object({ kind: v.picklist(["a", "b"]) })), where: { data: { kind: ["a"] } } },
    nothing,
  );
  automation("d", { on: event("o.p", z.record(z.string(), z.number())), where: { data: { any: [1] } } }, nothing);
  automation(
    "e",
    { on: event("o.p", z.looseObject({ a: z.string() })), where: { data: { a: ["x"], other: [1] } } },
    nothing,
  );
  automation("f", { on: event("o.p", z.string()), where: { data: ["x"] } }, ({ event }) => void event.data.length);
  interface Tree {
    readonly name: string;
    readonly kids: readonly Tree[];
  }
  automation("g", { on: event<Tree>("o.p"), where: { data: { kids: { kids: { name: ["x"] } } } } }, nothing);
  wrong(() => {
    // @ts-expect-error what the schema makes has no such member
    automation("a", { on: event("o.p", grown), where: { data: { bg: [1] } } }, nothing);
    // @ts-expect-error no label of the list
    automation("a", { on: event("o.p", kinds), where: { data: { t: ["c"] } } }, nothing);
  });
});

test("helpers around automation(), options by satisfies, handlers apart", () => {
  function typed<E extends { readonly id: string }>(
    id: string,
    on: Trigger<E>,
    run: (e: E) => Promise<void>,
  ): Automation {
    return automation(id, { on }, async ({ event }) => run(event));
  }
  function quick<const On extends Trigger | readonly Trigger[]>(
    id: string,
    options: AutomationOptions<On>,
    handler: Parameters<typeof automation<On>>[2],
  ): Automation {
    return automation(id, { timeout: "5s", ...options }, handler);
  }
  typed("a", orders.created(), async ({ after }) => void after.status);
  quick("b", { on: orders.created() }, ({ event }) => void event.after.total);
  const options = { on: orders.created(), where: { after: { status: ["paid"] } } } satisfies AutomationOptions<
    ReturnType<typeof orders.created>
  >;
  automation("c", options, ({ event }) => void event.after.total);
  const where = { after: { status: ["paid"], total: [{ numeric: [">", 1] }] } } as const;
  automation("d", { on: orders.created(), where }, nothing);
  automation(
    "e",
    { on: orders.created() },
    ({ event }: HandlerContext<{ id: string; after: Order }>) => void event.after,
  );
  const onPaid = <Row extends { readonly status: string }>(on: Trigger<{ id: string; after: Row }>): Automation =>
    automation("f", { on, filter: ({ event }) => event.after.status === "paid" }, nothing);
  onPaid(orders.created());
  onPaid(orders.updated());
  wrong(() => {
    // @ts-expect-error customers have no status
    onPaid(customers.created());
    // @ts-expect-error what is deleted has no row after
    onPaid(orders.deleted());
  });
});

test("rows of which little or nothing is known", () => {
  const [open, records, any] = [
    collection("shop", "public.a"),
    collection<Record<string, unknown>>("shop", "public.b"),
    // biome-ignore lint/suspicious/noExplicitAny: as an application may write it
    collection<any>("shop", "public.c"),
  ] as const;
  automation("a", { on: open.updated({ column: "s", to: "x" }), where: { after: { x: [1] } } }, nothing);
  automation("d", { on: open.deleted(), where: { before: { x: [1], y: { z: ["x"] } } } }, nothing);
  automation(
    "b",
    { on: records.crosses("n", { below: 1 }), where: { after: { x: { y: [1] } } } },
    ({ event }) => void event.after,
  );
  automation("c", { on: any.changed("n"), where: { after: { x: [1] } } }, ({ event }) => void event.after.foo.bar);
});

test("tables of drizzle, of all kinds of columns", () => {
  const cents = customType<{ data: { cents: number }; driverData: string }>({ dataType: () => "numeric" });
  const table = pgTable("t", {
    id: bigint("id", { mode: "bigint" }).primaryKey(),
    n: bigint({ mode: "number" }),
    price: numeric(),
    priceN: numeric({ mode: "number" }),
    mood: pgEnum("mood", ["sad", "happy"])().notNull(),
    moods: pgEnum("mood", ["sad", "happy"])().array(),
    j: jsonb().$type<{ a: string; deep?: { b: number } } | { c: "x" }>(),
    raw: jsonb(),
    at: timestamp({ withTimezone: true }).notNull().defaultNow(),
    vc: varchar({ enum: ["x", "y"] }),
    money: cents(),
    ref: text().$type<OrderId>().notNull(),
    twice: integer().generatedAlwaysAs(1 as never),
  });
  const two = pgSchema("two").table("t", { a: integer(), b: integer() }, (of) => [
    primaryKey({ columns: [of.a, of.b] }),
  ]);
  const rows = fromDrizzle("shop", table);
  const where = {
    after: {
      id: [5],
      n: [1],
      price: [{ numeric: [">", "1"] }],
      priceN: [1],
      mood: ["sad"],
      moods: ["sad"],
      vc: ["x", null],
    },
    before: {
      j: { a: ["x"], deep: { b: [1] }, c: ["x"] },
      raw: { any: ["x"] },
      at: [{ prefix: "2026" }],
      ref: ["x"],
      twice: [1],
    },
  } as const;
  automation("a", { on: rows.updated({ column: "mood", from: "sad", to: ["happy"] }), where }, ({ event }) => {
    const [id, at, before]: [bigint, Date, "sad" | "happy"] = [event.key.id, event.after.at, event.before.mood];
    return void [id, at, before];
  });
  automation("b", { on: rows.crosses("id", { below: 5n }) }, nothing);
  automation("c", { on: rows.updated({ column: "ref", to: "x" }) }, nothing);
  automation("d", { on: fromDrizzle("shop", two).deleted() }, ({ event }) => void event.key?.a);
  automation("e", { on: fromDrizzle("shop", table, { raw: true }).created(), where: { after: { id: [1] } } }, nothing);
  wrong(() => {
    // @ts-expect-error no label of an enum that is a text for the database
    rows.updated({ column: "vc", from: "z" });
    // @ts-expect-error no number
    rows.crosses("mood", { below: 1 });
    // @ts-expect-error no member of the JSON
    automation("a", { on: rows.created(), where: { after: { j: { d: ["x"] } } } }, nothing);
    // @ts-expect-error no table of drizzle
    fromDrizzle("shop", { id: 1 });
  });
  expect(rows.created().filter).toBe("cdc.shop.public.t.created.*");
});

test("what a library with `declaration: true` exports has a name that the package exports", () => {
  const rows: Collection<Customer, AnyKey> = customers;
  const created: ChangeTrigger<CreatedEvent<Customer, AnyKey>> = rows.created();
  const dead: Trigger<SystemEvent<DeadData>> = system("dead");
  const sent: Handler<AnyEvent> = send("crm", () => ({ body: {} }));

  expect([created, dead, sent]).not.toContain(undefined);
});
