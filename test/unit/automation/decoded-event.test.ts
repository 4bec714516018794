// A trigger that decodes: its handler gets what it makes of a change, other triggers' handlers the change itself.

import { expect, test } from "vitest";
import { automation } from "../../../src/automation/automation.ts";
import { collection } from "../../../src/automation/collection.ts";
import { readEvent } from "../../../src/automation/read-event.ts";
import type { Delivery } from "../../../src/bus/bus.ts";
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

const orders = collection("shop", "public.orders", (event) => ({ ...event, after: { id: "decoded" } }));
const broken = collection("shop", "public.orders", () => {
  throw new PoisonError("ROW_NOT_AS_DECLARED", "no");
});
const reader = (on: Parameters<typeof automation>[1]["on"]) => ({
  automation: automation("a", { on } as Parameters<typeof automation>[1], () => {}),
  bus: { fetchBody: () => Promise.reject(new BugError("X", "no body is kept apart")) },
  persist: <Result>(operation: () => Promise<Result>) => operation(),
});

test("a handler gets what its trigger makes of a change, and a change as it is from another trigger", () => {
  const both = reader([orders.created(), collection("shop", "public.orders").deleted()]);
  expect(readEvent(delivery("created"), both)).toMatchObject({ after: { id: "decoded" } });
  expect(readEvent(delivery("deleted"), both)).toMatchObject({ after: { id: 1 } });
});

test("a change that its trigger cannot decode is poison", () => {
  expect(readEvent(delivery("created"), reader([broken.created()]))).toBeInstanceOf(PoisonError);
});
