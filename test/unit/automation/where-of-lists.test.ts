// A `where` over several triggers: what only one of them can have stands in a branch of `$or`.

import { expect, test } from "vitest";
import { automation, collection, event } from "../../../src/index.ts";

interface Order {
  readonly id: string;
  readonly status: "new" | "paid";
}
interface Customer {
  readonly id: string;
  readonly status: "active" | "gone";
  readonly name: string;
}
const orders = collection<Order>("shop", "public.orders", { columns: { id: "number", status: ["new", "paid"] } });
const customers = collection<Customer>("shop", "public.customers", {
  columns: { id: "number", status: ["active", "gone"], name: "text" },
});
const on = [orders.created(), customers.created()] as const;
const nothing = (): void => {};

/** Whether each trigger takes an event with such a row; the second is told by the collection. */
function taken(where: object, collectionName: "orders" | "customers", after: object): boolean {
  const defined = automation("both", { on, where: where as never }, nothing);
  const at = collectionName === "orders" ? 0 : 1;
  const pattern = defined.where?.get(defined.triggers[at] ?? orders.created());
  return pattern?.matches({ collection: collectionName, after }, undefined) === true;
}

test("a branch of $or may name a column, or a label, that only one of the collections has", () => {
  const where = { $or: [{ after: { status: ["paid"] } }, { after: { name: ["x"], id: [5] } }] };

  expect(taken(where, "orders", { id: "1", status: "paid" })).toBe(true);
  expect(taken(where, "orders", { id: "5", status: "new" })).toBe(false);
  expect(taken(where, "customers", { id: "5.0", status: "gone", name: "x" })).toBe(true);
  expect(taken(where, "customers", { id: "5", status: "gone", name: "y" })).toBe(false);
});

test("for the other trigger such a column is a field that is not there, and what is known of its columns stays", () => {
  const absent = { $or: [{ after: { name: [{ exists: false }], id: [5] } }, { after: { status: ["paid"], id: [7] } }] };

  expect(taken(absent, "orders", { id: "5.0", status: "paid" })).toBe(true);
  expect(taken(absent, "orders", { id: "6", status: "paid" })).toBe(false);
  const mixed = { $or: [{ after: { status: ["new", "active"] } }, { after: { name: ["x"] } }] };
  // No one collection has both labels.
  expect(() => taken(mixed, "orders", {})).toThrow(/no label/);
});

test("a field of a domain event may stand beside one of a change", () => {
  const where = { $or: [{ data: { total: [1] } }, { after: { status: ["paid"] } }] } as const;
  const both = automation("both", { on: [orders.created(), event<{ total: number }>("order.placed")], where }, nothing);

  expect(both.where?.size).toBe(2);
});

test("a branch that fits none of them is refused, and so is a trigger that no branch is for", () => {
  const define = (where: object) => () => automation("both", { on, where: where as never }, nothing);

  expect(define({ $or: [{ after: { totl: [1] } }, { after: { id: [1] } }] })).toThrow(/there is no column "totl"/);
  expect(define({ $or: [{ after: { name: ["x"] } }, { after: { name: ["y"] } }] })).toThrow(/no column "name"/);
  expect(define({ after: { name: ["x"] } })).toThrow(/there is no column "name"/);
  const alone = () =>
    automation(
      "one",
      { on: orders.created(), where: { $or: [{ key: { id: [1] } }, { after: { nme: [1] } }] } as never },
      nothing,
    );
  expect(alone).toThrow(/there is no column "nme"/);
});
