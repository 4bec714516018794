// Columns that automations name and no event will have.

import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import type { Trigger } from "../../../src/automation/define/trigger.ts";
import { unknownColumns } from "../../../src/automation/run/unknown-columns.ts";
import { realClock } from "../../../src/clock.ts";
import { TransientError } from "../../../src/errors.ts";

const orders = collection("shop", "public.orders");
const columns = ["id", "status", "total", "address"];
const listed = [{ namespace: "public", name: "orders", columns }];

const warned = async (
  on: Trigger | readonly Trigger[],
  where: object | undefined,
  read: readonly object[] = listed,
) => {
  const one = automation("greet", { on, ...(where && { where }) } as never, () => {});
  const found = await unknownColumns([one], async () => read as typeof listed, realClock);
  return found.map(({ level, code, message, fix }) => ({ level, code, message, fix }));
};

test("a misspelt column of a pattern is named with the one that was meant", async () => {
  expect(await warned(orders.created(), { after: { totl: [{ numeric: [">", 1] }], status: ["paid"] } })).toEqual([
    {
      level: "warn",
      code: "AUTOMATION_COLUMN_UNKNOWN",
      message: expect.stringContaining(
        "its where names the column totl, which events of shop: public.orders do not have",
      ),
      fix: "Did you mean total?",
    },
  ]);
});

test("one that nothing resembles comes with all that there are", async () => {
  expect(
    await warned(orders.deleted(), { $or: [{ key: { id: [1] } }, { before: { quantity: ["x"] } }] }),
  ).toMatchObject([{ fix: "The columns are id, status, total, address." }]);
});

test.each([
  ["changed", orders.changed("stats")],
  ["updated from one value to another", orders.updated({ column: "stats", from: "new", to: "paid" })],
  ["crosses", orders.crosses("stats", { below: 10 })],
])("a misspelt column of a trigger is named: %s", async (_, on) => {
  expect(await warned(on, undefined)).toMatchObject([
    {
      message: expect.stringMatching(
        /its trigger names the column stats, .*: as long as there is none, no event starts it/,
      ),
    },
  ]);
});

test("what is inside of a column, what the event itself has, and columns that are there are fine", async () => {
  const where = { op: ["created", "updated"], after: { address: { city: ["Graz"] }, total: [1] }, key: { id: [1] } };

  expect(await warned([orders.created(), orders.changed("status", "total")], where)).toEqual([]);
});

test("nothing is said of a collection whose events may have any column, or that is not read", async () => {
  const where = { after: { totl: [1] } };

  expect(await warned(orders.created(), where, [{ namespace: "public", name: "orders" }])).toEqual([]);
  expect(await warned(orders.created(), where, [])).toEqual([]);
});

test("nothing is said while the database cannot be asked, and of the others what is known", async () => {
  const one = automation(
    "one",
    { on: collection("away", "public.orders").created(), where: { after: { x: [1] } } },
    () => {},
  );
  const other = automation("other", { on: orders.created(), where: { after: { totl: [1] } } }, () => {});
  const found = await unknownColumns(
    [one, other],
    async (source) => {
      if (source === "away") throw new TransientError("PG_UNREACHABLE", "away");
      return listed;
    },
    realClock,
  );

  expect(found.map(({ subject }) => subject)).toEqual(["automation other"]);
});
