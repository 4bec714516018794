// What a message says of an event's transaction, and of an event that has none.

import { expect, test } from "vitest";
import { EventEncoder } from "../../../src/bus/encode-event.ts";
import type { Position } from "../../../src/event/position.ts";
import type { Change } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { copiedRow } from "../../support/bus/copied-rows.ts";

const kind = { namespace: "shop", collection: "orders", op: "created", version: undefined } as const;
const time = "2026-01-02T03:04:05.000006Z";

function headOf(id: string | undefined, position: string): string {
  const change: Change = {
    ...{ type: "change", kind, lane: "p00", key: "1", data: Buffer.from("{}") },
    ...{ transaction: { id, time, lineage: undefined }, position: position as Position },
  };
  return new EventEncoder("shop" as SourceId).encode(change).head;
}

test("the last event of a transaction says so, the others name it alone", () => {
  expect(headOf("7", "0001.1+")).toContain("Cdc-Tx: 7\r\nCdc-Tx-Last: 1\r\n");
  expect(headOf("7", "0001.1")).toContain("Cdc-Tx: 7\r\n");
  expect(headOf("7", "0001.1")).not.toContain("Cdc-Tx-Last");
});

test("an event outside of all transactions is complete, and the last of none", () => {
  expect(headOf(undefined, "0001.1+")).not.toContain("Cdc-Tx");
});

test("the events of a transaction that says its trace carry it, once, and one that says its own carries that", () => {
  const [trace, own] = ["0af7651916cd43dd8448eb211c80319c", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"].map(
    (id) => `00-${id}-b7ad6b7169203331-01`,
  ) as [string, string];
  const lineage = { correlationId: "a", causationId: "b", proven: undefined, traceparent: trace };
  const encoder = new EventEncoder("shop" as SourceId);
  const placed = { position: "0001.1" as Position, data: Buffer.from("{}"), transaction: { id: "7", time, lineage } };
  const domain = {
    ...placed,
    type: "domain",
    id: "u",
    aggregate: "order",
    name: "placed",
    key: "1",
    lane: "p00",
  } as const;
  const messages = [
    encoder.encode({ ...placed, type: "change", kind, lane: "p00", key: "1" }),
    encoder.encode({ ...placed, type: "marker", kind: { prefix: "audit" }, id: "m" }),
    encoder.encode({ ...domain, headers: { tenant: "t" } }),
    encoder.encode({ ...domain, headers: { Traceparent: own } }),
    encoder.encode({ ...domain, headers: { traceparent: "none" } }),
    encoder.encode({ ...domain, headers: {}, transaction: { id: "8", time, lineage: undefined } }),
  ];

  expect(messages.map(({ head }) => head.match(/^traceparent: .*$/gim) ?? [])).toEqual([
    [`traceparent: ${trace}`],
    [`traceparent: ${trace}`],
    [`traceparent: ${trace}`],
    [`Traceparent: ${own}`],
    ["traceparent: none"],
    [],
  ]);
  expect(messages.map((message) => message.trace?.parent)).toEqual([
    trace,
    undefined,
    trace,
    own,
    undefined,
    undefined,
  ]);
});

test("a copied row has an id of its collection and its key, no transaction, and the place that it repeats", () => {
  const encoder = new EventEncoder("shop" as SourceId);
  const at = { partition: "shard-0", position: "0001.1+" as Position };
  const message = encoder.copied(copiedRow("42"), at);

  expect(message).toMatchObject({ ...at, subject: "cdc.shop.public.orders.read.p03", committedAt: undefined });
  expect(message.id).toMatch(/^shop\.b1\.16384\.[0-9a-f]{32}$/);
  expect(message.head.split("\r\n")).toEqual([
    "ce-specversion: 1.0",
    "ce-source: /shop",
    "ce-type: shop.public.orders.read",
    "content-type: application/json",
    "ce-dataschema: kv:millrace_schemas/shop.0123456789abcdef",
    "ce-subject: public.orders/42",
    `ce-id: ${message.id}`,
    "ce-time: 2026-01-02T03:04:05.000006Z",
    "Cdc-Part: shard-0",
    "",
  ]);
  expect(encoder.copied(copiedRow("42"), { position: "0001.2+" as Position }).id).toBe(message.id);
  expect(encoder.copied(copiedRow("43"), at).id).not.toBe(message.id);
  expect(encoder.copied({ ...copiedRow("42"), again: 7 }, at).id).toBe(`${message.id}.7`);
});
