import { expect, test } from "vitest";
import { publishes } from "../../support/bus/nats-publishes.ts";

const BATCH =
  "HPUB cdc.shop.public.item.created.p01 12 17\r\nNATS/1.0\r\n\r\n12345\r\n" +
  "HPUB cdc.shop.public.item.created.p02 _INBOX.a.1 12 17\r\nNATS/1.0\r\n\r\n12345\r\n";

test("a batch is told by the reply of its last message", () => {
  expect(publishes(Buffer.from(`PING\r\n${BATCH}${BATCH.replace("a.1", "a.2")}`))).toEqual([
    "_INBOX.a.1",
    "_INBOX.a.2",
  ]);
});

test("one of which a part is missing is none, wherever it is cut", () => {
  for (let length = 0; length < BATCH.length; length++)
    expect(publishes(Buffer.from(BATCH).subarray(0, length))).toEqual([]);
});

test("nor is what is published for other ends", () => {
  expect(publishes(Buffer.from("HPUB $KV.a.b _INBOX.a.1 12 12\r\nNATS/1.0\r\n\r\n\r\n"))).toEqual([]);
});
