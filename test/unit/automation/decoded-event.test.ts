// A trigger that decodes: its handler gets what it makes of a change, other triggers' handlers the change itself.

import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { fromDrizzle } from "../../../src/automation/define/from-drizzle.ts";
import { ColumnTypes } from "../../../src/automation/deliver/column-types.ts";
import { readEvent } from "../../../src/automation/deliver/read-event.ts";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import type { Delivery } from "../../../src/bus/subscription.ts";
import { realClock } from "../../../src/clock.ts";
import { BugError, PoisonError } from "../../../src/errors.ts";

const lines: Readonly<Record<string, string>> = {
  "ce-id": "1",
  "ce-type": "t",
  "ce-time": "now",
  "Cdc-Pos": "1+",
  "Cdc-Tx": "7",
};
const delivery = (op: string): Delivery =>
  ({
    subject: `cdc.shop.public.orders.${op}.p03`,
    sequence: 1,
    header: (name: string) => lines[name],
    data: Buffer.from(JSON.stringify({ op, key: { id: 1 }, before: null, after: { id: 1 } })),
  }) as unknown as Delivery;

const orders = collection("shop", "public.orders", { decode: (event) => ({ ...event, after: { id: "decoded" } }) });
const broken = collection("shop", "public.orders", {
  decode: () => {
    throw new PoisonError("ROW_NOT_AS_DECLARED", "no");
  },
});
const reader = (on: Parameters<typeof automation>[1]["on"]) => ({
  automation: automation("a", { on } as Parameters<typeof automation>[1], () => {}),
  bus: {
    fetchBody: () => Promise.reject(new BugError("X", "no body is kept apart")),
    read: () => Promise.reject(new BugError("X", "no body is left behind")),
  },
  persist: <Result>(operation: () => Promise<Result>) => operation(),
  clock: realClock,
  columnTypes: new ColumnTypes({ schemas: memoryStore() }),
});

test("a handler gets what its trigger makes of a change, and a change as it is from another trigger", () => {
  const both = reader([orders.created(), collection("shop", "public.orders").deleted()]);
  expect(readEvent(delivery("created"), both)).toMatchObject({ after: { id: "decoded" } });
  expect(readEvent(delivery("deleted"), both)).toMatchObject({ after: { id: 1 } });
});

test("columns are called by the properties of a drizzle table wherever an event names them", () => {
  const docs = pgTable("docs", { id: integer("id").primaryKey(), theBody: text("the_body"), aNote: text("a_note") });
  const trigger = fromDrizzle("shop", docs).updated();
  const after = { id: 1, the_body: "text" };
  const enriched = { columns: ["the_body"], asOfLsn: "0/1" };
  const event = { op: "updated", key: { id: 1 }, before: null, after, unchanged: ["a_note"], enriched };

  const message = { ...delivery("updated"), subject: "cdc.shop.public.docs.updated.p03" };
  expect(trigger.decode({ ...message, data: Buffer.from(JSON.stringify(event)) })).toMatchObject({
    after: { id: 1, theBody: "text" },
    unchanged: ["aNote"],
    enriched: { columns: ["theBody"], asOfLsn: "0/1" },
  });
});

test("a change that its trigger cannot decode is poison", () => {
  expect(readEvent(delivery("created"), reader([broken.created()]))).toBeInstanceOf(PoisonError);
});
