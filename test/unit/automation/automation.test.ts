// What automation() and collection() accept, and what they make of it.

import { integer, pgSchema } from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import type { AutomationOptions } from "../../../src/automation/define/automation.ts";
import { ConfigError } from "../../../src/errors.ts";
import {
  automation,
  type CreatedEvent,
  collection,
  type DeletedEvent,
  event,
  Fatal,
  fromDrizzle,
  Retry,
  type Trigger,
} from "../../../src/index.ts";

interface Order {
  readonly id: number;
  readonly status: string;
}

const orders = collection<Order>("shop", "public.orders");
const nothing = (): void => {};

test("a trigger's filter is the whole subject with all lanes", () => {
  expect(orders.created()).toMatchObject({
    ...{ source: "shop", filter: "cdc.shop.public.orders.created.*" },
    needs: [{ source: "shop", namespace: "public", name: "orders", op: "created", images: ["after"] }],
  });
  expect(orders.updated().filter).toBe("cdc.shop.public.orders.updated.*");
  expect(orders.deleted().filter).toBe("cdc.shop.public.orders.deleted.*");
});

test("names that are no subject tokens are escaped, and only the first dot splits", () => {
  expect(collection("shop", "My Schema.a.b").created().filter).toBe("cdc.shop.My~20Schema.a~2Eb.created.*");
});

test("a schema with dots stands in double quotes, and a drizzle table's needs none", () => {
  const filter = "cdc.shop.my~2Eschema.Order~20Items.created.*";

  expect(collection("shop", '"my.schema"."Order Items"').created().filter).toBe(filter);
  expect(collection("shop", '"my.schema".Order Items').created().filter).toBe(filter);
  const table = pgSchema("my.schema").table("Order Items", { id: integer() });
  expect(fromDrizzle("shop", table).created().filter).toBe(filter);
  expect(collection("shop", 'public."say ""hi"""').created().filter).toBe("cdc.shop.public.say~20~22hi~22.created.*");
});

test("domain events are named by a type, or by its parts where an aggregate has dots", () => {
  expect(event("order.placed.again").filter).toMatch(/\.order\.placed~2Eagain\.\*$/);
  expect(event({ aggregate: "shop.order", name: "placed" }).filter).toMatch(/\.shop~2Eorder\.placed\.\*$/);
  for (const none of ["order", ".placed", "order.", { aggregate: "", name: "placed" }])
    expect(() => event(none)).toThrow(ConfigError);
});

test.each([
  ["Shop", "public.orders"],
  ["shop", "orders"],
  ["shop", ".orders"],
  ["shop", "public."],
])("collection(%j, %j) is refused", (source, name) => {
  expect(() => collection(source, name)).toThrow(ConfigError);
});

test("the defaults are three attempts between 2s and 8s within 24h, 30s, ten at once, from now", () => {
  const receipt = automation("receipt", { on: orders.created() }, nothing);
  expect(receipt).toMatchObject({
    id: "receipt",
    retry: { attempts: 3, minMs: 2000, maxMs: 8000, maxAgeMs: 86_400_000 },
    timeoutMs: 30_000,
    concurrency: 10,
    start: "now",
  });
});

test("an automation is frozen", () => {
  const receipt = automation("receipt", { on: [orders.created(), orders.deleted()] }, nothing);
  expect(Object.isFrozen(receipt)).toBe(true);
});

test.each(["", "Receipt", "1st", "a.b", "a_b", "x".repeat(64)])("the id %j is refused", (id) => {
  expect(() => automation(id, { on: orders.created() }, nothing)).toThrow(ConfigError);
});

test.each([
  ["an empty list of triggers", { on: [] as never }],
  ["no attempt", { on: orders.created(), retry: { attempts: 0 } }],
  ["half an attempt", { on: orders.created(), retry: { attempts: 1.5 } }],
  ["a longest wait above a year", { on: orders.created(), retry: { max: "366d" } }],
  ["a shortest wait above the longest", { on: orders.created(), retry: { min: "9s" } }],
  ["a timeout without a unit", { on: orders.created(), timeout: "30" as never }],
  ["a timeout of nothing", { on: orders.created(), timeout: 0 }],
  ["a timeout of days", { on: orders.created(), timeout: "2d" }],
  ["no concurrency", { on: orders.created(), concurrency: 0 }],
  ["too much concurrency", { on: orders.created(), concurrency: 257 }],
] as [string, AutomationOptions<Trigger>][])("%s is refused", (_what, options) => {
  expect(() => automation("receipt", options, nothing)).toThrow(ConfigError);
});

test.each<readonly [object, string, string]>([
  [{ concurency: 4 }, "receipt: concurency: there is no such option", 'did you mean "concurrency"?'],
  [{ handler: nothing }, "receipt: handler: there is no such option", "the options are on, where, filter, retry, "],
  [{ retry: { atempts: 4 } }, "receipt: retry.atempts: there is no such option", 'did you mean "attempts"?'],
  [{ cycles: true }, 'receipt: cycles is neither "stop" nor "allow"', "write one"],
  [{ start: "beginning" }, 'receipt: start is neither "now" nor "earliest", nor a time', "write one"],
  [
    { start: "2026-01-31T12:00:00" },
    'receipt: start is neither "now" nor "earliest", nor a time',
    "2026-11-01T00:00:00Z",
  ],
  [{ start: "9999-01-01" }, "receipt: start is not over yet", '"now"'],
])("what the compiler would not take is refused at run time too: %j", (options, message, hint) => {
  const define = (): unknown => automation("receipt", { on: orders.created(), ...options } as never, nothing);

  expect(define).toThrow(
    expect.objectContaining({ code: "AUTOMATION_INVALID", message, hint: expect.stringContaining(hint) }),
  );
});

test.each<readonly [readonly unknown[], string, string]>([
  [[{ id: "receipt" }], "an automation begins with its id, a text", "automation("],
  [["receipt"], "receipt: it has no options", "automation("],
  [["receipt", { on: orders.created() }], "receipt: its handler is no function", "async ({ event })"],
  [["receipt", {}, nothing], "receipt: it has no trigger", "on: orders.created()"],
  [["receipt", { on: orders.created }, nothing], 'receipt: "on" is a function', "call it"],
  [["receipt", { on: orders }, nothing], 'receipt: "on" is no trigger', "say which changes"],
  [["receipt", { on: [orders.created(), "orders"] }, nothing], 'receipt: "on" is no trigger', "say which changes"],
  [["receipt", { on: orders.created(), retry: 5 }, nothing], "receipt: retry is no object", "attempts: 5"],
  [
    ["receipt", { on: orders.created(), retry: { attempts: 0 } }, nothing],
    /^receipt: retry\.attempts must /.source,
    "1",
  ],
])("what is no automation at all is refused where it is written, in its words: %#", (given, message, hint) => {
  expect(() => (automation as (...given: unknown[]) => unknown)(...given)).toThrow(
    expect.objectContaining({
      code: "AUTOMATION_INVALID",
      message: expect.stringMatching(message.startsWith("^") ? message : message.replaceAll(/[()]/g, "\\$&")),
      hint: expect.stringContaining(hint),
    }),
  );
});

test("numbers are milliseconds", () => {
  const receipt = automation(
    "receipt",
    { on: orders.created(), timeout: 1500, retry: { min: 10, max: "20ms" } },
    nothing,
  );
  expect(receipt).toMatchObject({ timeoutMs: 1500, retry: { minMs: 10, maxMs: 20 } });
});

test("a retry may be put off by a year, one for what is away by 2m, and not more", () => {
  expect(new Retry({ after: "365d" }).afterMs).toBe(365 * 86_400_000);
  expect(() => new Retry({ after: "366d" })).toThrow(ConfigError);
  expect(new Retry({ after: "2m", unavailable: true }).afterMs).toBe(120_000);
  expect(() => new Retry({ after: "3m", unavailable: "mail" })).toThrow(ConfigError);
  expect(new Fatal("why").message).toBe("why");
});

test("the handler's event has the type of its trigger, or of any in a list", () => {
  automation("one", { on: orders.created() }, ({ event }) => {
    expectTypeOf(event).toEqualTypeOf<CreatedEvent<Order>>();
    expectTypeOf(event.after).toEqualTypeOf<Order>();
  });
  automation("two", { on: [orders.created(), orders.deleted()] }, async ({ event }) => {
    expectTypeOf(event).toEqualTypeOf<CreatedEvent<Order> | DeletedEvent<Order>>();
  });
});
