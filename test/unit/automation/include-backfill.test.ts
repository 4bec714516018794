// Rows that a copy has stored (op `read`): they start an automation only where it includes them.

import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { automationFindings } from "../../../src/automation/define/check-automations.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { event } from "../../../src/automation/define/event-trigger.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { compileRules } from "../../../src/rules/compile-rules.ts";
import { given } from "../../../src/testing.ts";

interface Order {
  readonly id: number;
  readonly total: number;
}
const orders = collection<Order>("shop", "public.orders");
const row = orders.row({ id: 1, total: 5 });
const none = { outboxes: [] };

test("a copied row starts no automation on any change of its table, however the trigger is written", async () => {
  const seen: unknown[] = [];
  const on = [
    orders.created(),
    orders.updated(),
    orders.deleted(),
    orders.truncated(),
    orders.changed("total"),
  ] as const;
  const mail = automation("mail", { on, includeBackfill: false }, ({ event: got }) => void seen.push(got.op));
  const rule = onlyRule("op: [created, updated, deleted, truncated]");
  const { outcomes } = await given([row.copied(), row.created(), row.copied()]).when(mail, rule);

  expect(seen).toEqual(["created"]);
  expect(outcomes.map(({ automation: id, outcome }) => `${id} ${outcome}`).sort()).toEqual([
    "mail done",
    "mail undelivered",
    "mail undelivered",
    "rule done",
    "rule undelivered",
    "rule undelivered",
  ]);
});

test("with includeBackfill the trigger on created rows hands them out, and no other trigger does", async () => {
  const seen: unknown[] = [];
  const fill = automation(
    "fill",
    { on: [orders.created(), orders.deleted()], includeBackfill: true },
    ({ event: got }) => {
      seen.push([got.op, got.before, got.after, got.transaction === undefined]);
    },
  );
  const { outcomes } = await given([row.copied(), row.created(), row.deleted()]).when(fill);

  expect(outcomes.map(({ outcome }) => outcome)).toEqual(["done", "done", "done"]);
  expect(seen).toEqual([
    ["read", null, { id: 1, total: 5 }, true],
    ["created", null, { id: 1, total: 5 }, false],
    ["deleted", { id: 1, total: 5 }, null, false],
  ]);
});

test("the durable, check and patterns know of it", async () => {
  const fill = automation(
    "fill",
    { on: orders.created(), includeBackfill: true, where: { op: ["read"], after: { total: [{ numeric: [">", 3] }] } } },
    () => {},
  );
  const small = orders.row({ id: 2, total: 1 });
  const { outcomes } = await given([row.copied(), row.created(), small.copied()]).when(fill);
  const sources = new Map([["shop" as SourceId, { collections: undefined, durables: [], stream: "CDC_SHOP" }]]);

  expect(outcomes.map(({ outcome }) => outcome)).toEqual(["done", "filtered", "filtered"]);
  expect(fill.triggers.flatMap((one) => one.subscriptions(none).map(({ filter }) => filter))).toEqual([
    "cdc.shop.public.orders.created.*",
    "cdc.shop.public.orders.read.*",
  ]);
  expect(automationFindings([fill], { all: ["shop" as SourceId], ...none }, sources)).toMatchObject([
    { code: "AUTOMATION", message: "listens to cdc.shop.public.orders.created.*, cdc.shop.public.orders.read.*" },
  ]);
  expect(fill.needs).toEqual([
    { source: "shop", namespace: "public", name: "orders", op: "created", images: ["after"] },
  ]);
  // Without copies it could never match.
  expect(() => automation("never", { on: orders.created(), where: { op: ["read" as never] } }, () => {})).toThrow(
    /it can never match/,
  );
});

test("a rule includes them by the same option", async () => {
  const rule = onlyRule("op: created", "includeBackfill: true");
  const { outcomes } = await given([row.copied()]).when(rule);

  expect(outcomes).toMatchObject([{ automation: "rule", outcome: "done" }]);
});

test("what takes no copied rows cannot include them", () => {
  const refused = expect.objectContaining({ code: "AUTOMATION_INVALID" });

  expect(() => automation("a", { on: orders.updated(), includeBackfill: true }, () => {})).toThrow(refused);
  expect(() => automation("a", { on: event("order.placed"), includeBackfill: true }, () => {})).toThrow(/it has none/);
  expect(() => automation("a", { on: orders.created(), includeBackfill: "yes" as never }, () => {})).toThrow(
    /neither true nor false/,
  );
});

test("the op of a copied row is in the handler's type only where it is included", () => {
  automation("fill", { on: orders.created(), includeBackfill: true }, ({ event: got }) => {
    got.op satisfies "created" | "read";
    got.after satisfies Order;
    // @ts-expect-error it may be a copied row
    got.op satisfies "created";
  });
  automation("mail", { on: orders.created() }, ({ event: got }) => {
    got.op satisfies "created";
    // @ts-expect-error never so
    if (got.op === "read") return;
  });
  const both = [orders.created(), orders.updated()] as const;
  automation("both", { on: both, includeBackfill: true }, ({ event: got }) => {
    got.op satisfies "created" | "read" | "updated";
    // @ts-expect-error a column that there is not
    got.after.totl satisfies unknown;
  });
  expect(both).toHaveLength(2);
});

function onlyRule(op: string, ...more: readonly string[]) {
  const text = [
    "- id: rule",
    `  on: { source: shop, collection: public.orders, ${op} }`,
    '  do: { emit: order.seen, data: { id: "{{ /key/id }}" } }',
    ...more.map((line) => `  ${line}`),
  ].join("\n");
  const known = { sources: ["shop"], endpoints: [], webhooks: [], kinds: {} };
  const [rule] = compileRules([{ file: "rules.yaml", bytes: Buffer.from(text) }], known);
  if (rule === undefined) throw new Error("no rule");
  return rule.automation;
}
