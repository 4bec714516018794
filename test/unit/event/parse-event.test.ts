// What is an event of ours, and what is not.

import { expect, test } from "vitest";
import { PoisonError } from "../../../src/errors.ts";
import { parseEvent, type StoredMessage } from "../../../src/event/parse-event.ts";
import { parseDomainEvent } from "../../../src/event.ts";

const good: Readonly<Record<string, string>> = {
  "ce-id": "shop.0001.01",
  "ce-type": "shop.My%20Schema.orders.updated",
  "ce-time": "2026-01-02T03:04:05.000006Z",
  "Cdc-Pos": "0001.01+",
  "Cdc-Tx": "742",
  "Cdc-Tx-Last": "1",
};
const body = { op: "updated", key: { id: 1 }, before: null, after: { id: 1, n: "9007199254740993" }, changed: ["n"] };

function message(
  change: { headers?: Record<string, string | undefined>; subject?: string; data?: unknown } = {},
): StoredMessage {
  const headers: Record<string, string | undefined> = { ...good, ...change.headers };
  const data = change.data ?? body;
  return {
    subject: change.subject ?? "cdc.shop.My~20Schema.orders.updated.p07",
    header: (name) => headers[name],
    data: data instanceof Uint8Array ? data : Buffer.from(typeof data === "string" ? data : JSON.stringify(data)),
    sequence: 5,
  };
}

test("an event has its body, its envelope and its place", () => {
  expect(parseEvent(message())).toEqual({
    ...body,
    id: "shop.0001.01",
    type: "shop.My Schema.orders.updated",
    source: "shop",
    namespace: "My Schema",
    collection: "orders",
    time: "2026-01-02T03:04:05.000006Z",
    position: "0001.01+",
    transaction: { id: "742", last: true },
    sequence: 5,
  });
});

test("a domain event is read by the same door", () => {
  const headers = { "ce-id": "42", "ce-type": "order.placed", "ce-subject": "order/s%C3%BCd" };
  const placed = message({ headers, subject: "events.shop.order.placed.p07", data: { total: "12.50" } });

  expect(parseDomainEvent(placed)).toMatchObject({
    id: "42",
    type: "order.placed",
    key: "süd",
    data: { total: "12.50" },
  });
});

test("without the mark it is not its transaction's last", () => {
  expect(parseEvent(message({ headers: { "Cdc-Tx-Last": undefined } })).transaction?.last).toBe(false);
});

test("what its database groups with nothing has no transaction", () => {
  const headers = { "Cdc-Tx": undefined, "Cdc-Tx-Last": undefined };
  const placed = { "ce-id": "42", "ce-type": "order.placed", "ce-subject": "order/7", ...headers };

  expect(parseEvent(message({ headers }))).toMatchObject({ ...body, position: "0001.01+", sequence: 5 });
  expect(parseEvent(message({ headers }))).not.toHaveProperty("transaction");
  expect(parseDomainEvent(message({ headers: placed, subject: "events.shop.order.placed.p07" }))).not.toHaveProperty(
    "transaction",
  );
});

test.each<[string, Parameters<typeof message>[0]]>([
  ["a subject without a lane", { subject: "cdc.shop.public.orders.updated" }],
  ["a subject with an unknown op", { subject: "cdc.shop.public.orders.changed.p07" }],
  ["a subject of another kind", { subject: "meta.shop.writer" }],
  ["a subject with a broken escape", { subject: "cdc.shop.~FF.orders.updated.p07" }],
  ["an op that differs from the subject's", { data: { ...body, op: "deleted" } }],
  ["a body that is not JSON", { data: "secret" }],
  ["a body that is not UTF-8", { data: Uint8Array.of(0x22, 0xff, 0x22) }],
  ["a body that is an array", { data: [body] }],
  ["a body without a key", { data: { ...body, key: undefined } }],
  ["an after that is a text", { data: { ...body, after: "secret" } }],
  ["no id", { headers: { "ce-id": undefined } }],
  ["an empty position", { headers: { "Cdc-Pos": "" } }],
  ["a header with broken percent-encoding", { headers: { "ce-type": "%FF" } }],
])("%s is poison, and the error does not quote it", (_what, change) => {
  expect(() => parseEvent(message(change))).toThrow(PoisonError);
  expect(() => parseEvent(message(change))).not.toThrow(/secret/);
});
