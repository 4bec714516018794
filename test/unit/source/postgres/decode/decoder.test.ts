// Frames to events: bodies, positions, marks, lanes, poison.

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { canonicalJson, laneOf } from "../../../../../src/event/lane.ts";
import type { Position } from "../../../../../src/event/position.ts";
import type { EncodedMessage } from "../../../../support/bus/encoded.ts";
import { bodyText, decodeFrames, headers, knownVersion, shown } from "../../../../support/postgres/decode-frames.ts";
import {
  begin,
  commit,
  insert,
  keepalive,
  message,
  relation,
  remove,
  truncate,
  typeName,
  update,
} from "../../../../support/postgres/pgoutput-frames.ts";

const INT4 = 23;
const FLOAT8 = 701;
const ORDERS = relation(1, "orders", [{ name: "id", type: INT4, key: true }, { name: "status" }, { name: "doc" }]);
const FULL = relation(
  2,
  "log",
  [
    { name: "id", type: INT4, key: true },
    { name: "doc", key: true },
  ],
  { identity: "f" },
);

const position = (final: number, change: number, n: number): string =>
  `0001.${hex(final)}.${hex(change)}.r${n.toString(16).padStart(6, "0")}`;
const hex = (lsn: number): string => lsn.toString(16).padStart(16, "0");
const rest = (end: number): string => `0001.${hex(end - 1)}.${hex(0)}.a000000+`;
const bodies = (messages: readonly EncodedMessage[]): unknown[] => messages.map((event) => JSON.parse(bodyText(event)));
const positions = (messages: readonly EncodedMessage[]): string[] => messages.map((event) => event.position);

describe("an event", () => {
  test("carries key, row, place, transaction and commit time", () => {
    const us = BigInt(Date.UTC(2024, 1, 29, 18, 29, 59) - Date.UTC(2000, 0, 1)) * 1000n + 123_456n;
    const [event] = decodeFrames([
      ORDERS,
      begin(0x200n, { xid: 3_000_000_000, us }),
      insert(0x100n, 1, ["42", 'é"\n', null]),
      commit(0x200n, 0x230n),
    ]);

    expect(bodyText(event as EncodedMessage)).toBe(
      '{"op":"created","key":{"id":42},"before":null,"after":{"id":42,"status":"é\\"\\n","doc":null}}',
    );
    expect(event).toMatchObject({ subject: "cdc.shop.public.orders.created.p02" });
    expect(headers(event as EncodedMessage)).toEqual({
      "ce-specversion": "1.0",
      "ce-dataschema": knownVersion.uri,
      "ce-source": "/shop",
      "ce-type": "shop.public.orders.created",
      "ce-subject": "public.orders/42",
      "ce-id": `shop.${position(0x200, 0x100, 0)}`,
      "ce-time": "2024-02-29T18:29:59.123456Z",
      "content-type": "application/json",
      "Cdc-Tx": "3000000000",
      "Cdc-Tx-Last": "1",
    });
  });

  test("of an update has no old row unless the log carries it, and names what the log left out", () => {
    const messages = decodeFrames([
      ORDERS,
      begin(0x200n),
      update(0x100n, 1, ["42", "paid", undefined]),
      commit(0x200n, 0x230n),
    ]);

    expect(bodies(messages)).toEqual([
      { op: "updated", key: { id: 42 }, before: null, after: { id: 42, status: "paid" }, unchanged: ["doc"] },
    ]);
  });

  test("of a delete has the key's columns alone", () => {
    const messages = decodeFrames([
      ORDERS,
      begin(0x200n),
      remove(0x100n, 1, "K", ["42", null, null]),
      commit(0x200n, 0x230n),
    ]);

    expect(bodies(messages)).toEqual([{ op: "deleted", key: { id: 42 }, before: { id: 42 }, after: null }]);
  });

  test("under full identity has the whole old row, what changed, and no gaps", () => {
    const messages = decodeFrames(
      [
        FULL,
        begin(0x200n),
        update(0x100n, 2, ["42", undefined], { kind: "O", values: ["42", "long"] }),
        update(0x110n, 2, ["42", "short"], { kind: "O", values: ["42", "long"] }),
        remove(0x120n, 2, "O", ["42", "short"]),
        commit(0x200n, 0x230n),
      ],
      { primaryKey: ["id"] },
    );

    const key = { id: 42 };
    expect(bodies(messages)).toEqual([
      { op: "updated", key, before: { id: 42, doc: "long" }, after: { id: 42, doc: "long" }, changed: [] },
      { op: "updated", key, before: { id: 42, doc: "long" }, after: { id: 42, doc: "short" }, changed: ["doc"] },
      { op: "deleted", key, before: { id: 42, doc: "short" }, after: null },
    ]);
  });

  test("of a table without a key has none, and the lane of null", () => {
    const [event] = decodeFrames([FULL, begin(0x200n), insert(0x100n, 2, ["42", "x"]), commit(0x200n, 0x230n)], {
      primaryKey: [],
    });

    expect(JSON.parse(bodyText(event as EncodedMessage))).toMatchObject({ key: null });
    expect(event).toMatchObject({ subject: `cdc.shop.public.log.created.${laneOf(Buffer.from("null"))}` });
    expect(headers(event as EncodedMessage)["ce-subject"]).toBe("public.log/");
  });

  test("has no key rather than a part of it when the catalog knows a column that the log does not", () => {
    const messages = decodeFrames([FULL, begin(0x200n), insert(0x100n, 2, ["42", "x"]), commit(0x200n, 0x230n)], {
      primaryKey: ["id", "renamed_since"],
    });

    expect(bodies(messages)).toMatchObject([{ key: null }]);
  });

  test("is left out when its table is in the publication but not configured", () => {
    const messages = decodeFrames([ORDERS, begin(0x200n), insert(0x100n, 1, ["1", "a", "b"]), commit(0x200n, 0x230n)], {
      rulesOf: () => undefined,
    });

    expect(messages).toEqual([{ type: "commit", position: rest(0x230) }]);
  });
});

describe("a changed key", () => {
  test("is a delete of the old one and a create of the new one", () => {
    const messages = decodeFrames([
      ORDERS,
      begin(0x200n),
      update(0x100n, 1, ["43", "paid", undefined], { kind: "K", values: ["42", null, null] }),
      commit(0x200n, 0x230n),
    ]);

    expect(messages.map(shown)).toEqual([
      {
        position: position(0x200, 0x100, 0),
        subject: "cdc.shop.public.orders.deleted.p02",
        body: { op: "deleted", key: { id: 42 }, before: { id: 42 }, after: null, movedTo: { id: 43 } },
      },
      {
        position: `${position(0x200, 0x100, 1)}+`,
        subject: "cdc.shop.public.orders.created.p15",
        body: {
          op: "created",
          key: { id: 43 },
          before: null,
          after: { id: 43, status: "paid" },
          unchanged: ["doc"],
          movedFrom: { id: 42 },
        },
      },
    ]);
  });

  test("is not seen where the old key comes only because it is long", () => {
    const messages = decodeFrames([
      ORDERS,
      begin(0x200n),
      update(0x100n, 1, [undefined, "paid", "d"], { kind: "K", values: ["42", null, null] }),
      commit(0x200n, 0x230n),
    ]);

    expect(bodies(messages)).toMatchObject([
      { op: "updated", key: { id: 42 }, before: null, after: { status: "paid", doc: "d" }, unchanged: ["id"] },
    ]);
  });
});

describe("keys", () => {
  const composite = relation(3, "item", [
    { name: "sub", type: FLOAT8, key: true },
    { name: "name", key: true },
  ]);

  test("of several columns are sorted by name, and joined by commas in the subject", () => {
    const [event] = decodeFrames([
      relation(3, "item", [
        { name: "sub", key: true },
        { name: "name", key: true },
      ]),
      begin(0x200n),
      insert(0x100n, 3, ["", "a,b é"]),
      commit(0x200n, 0x230n),
    ]);

    expect(bodyText(event as EncodedMessage)).toContain('"key":{"name":"a,b é","sub":""}');
    expect(headers(event as EncodedMessage)["ce-subject"]).toBe("public.item/a%2Cb%20%C3%A9,");
  });

  test.each(["1e+20", "1.50", "-0", "NaN"])("with the float %s have the lane of their canonical JSON", (float) => {
    const [event] = decodeFrames([composite, begin(0x200n), insert(0x100n, 3, [float, "x"]), commit(0x200n, 0x230n)]);

    const { key } = JSON.parse(bodyText(event as EncodedMessage));
    expect(event).toMatchObject({
      subject: `cdc.shop.public.item.created.${laneOf(Buffer.from(canonicalJson(key)))}`,
    });
  });
});

describe("positions", () => {
  test("count the events of one change LSN and start anew with the next", () => {
    const row = (lsn: bigint) => insert(lsn, 1, ["1", "a", "b"]);
    const messages = decodeFrames([
      ORDERS,
      begin(0x200n),
      row(0x100n),
      row(0x100n),
      row(0x110n),
      commit(0x200n, 0x230n),
      begin(0x230n),
      row(0x110n),
      commit(0x230n, 0x260n),
    ]);

    expect(positions(messages)).toEqual([
      position(0x200, 0x100, 0),
      position(0x200, 0x100, 1),
      `${position(0x200, 0x110, 0)}+`,
      `${position(0x230, 0x110, 0)}+`,
    ]);
  });

  test("never fall, even where a change comes with a lower LSN than the one before", () => {
    const row = (lsn: bigint) => insert(lsn, 1, ["1", "a", "b"]);
    const messages = decodeFrames([ORDERS, begin(0x200n), row(0x110n), row(0x100n), commit(0x200n, 0x230n)]);

    expect(positions(messages)).toEqual([position(0x200, 0x110, 0), `${position(0x200, 0x110, 1)}+`]);
  });

  test("of a keepalive and of a transaction without events are one less than its end", () => {
    const messages = decodeFrames([
      keepalive(0x150n),
      begin(0x200n),
      message(0x180n),
      commit(0x200n, 0x230n),
      keepalive(0x100000000n),
    ]);

    expect(messages).toEqual([0x150, 0x230, 0x100000000].map((end) => ({ type: "commit", position: rest(end) })));
  });

  test("of a keepalive inside a transaction, or one that does not advance, are none", () => {
    const messages = decodeFrames([
      ORDERS,
      keepalive(0x150n),
      keepalive(0x150n),
      keepalive(0x140n),
      begin(0x200n),
      keepalive(0x300n),
      insert(0x180n, 1, ["1", "a", "b"]),
      keepalive(0x300n),
      commit(0x200n, 0x230n),
      keepalive(0x200n),
    ]);

    expect(positions(messages)).toEqual([rest(0x150), `${position(0x200, 0x180, 0)}+`]);
  });

  test("up to the stream's end are dropped, and still counted", () => {
    const row = insert(0x100n, 1, ["1", "a", "b"]);
    const frames = [ORDERS, begin(0x200n), row, row, row, commit(0x200n, 0x230n)];

    const messages = decodeFrames(frames, { from: position(0x200, 0x100, 1) as Position });

    expect(positions(messages)).toEqual([`${position(0x200, 0x100, 2)}+`]);
  });

  test("of a transaction that is stored to its last event is its end", () => {
    const frames = [ORDERS, begin(0x200n), insert(0x100n, 1, ["1", "a", "b"]), commit(0x200n, 0x230n)];

    const messages = decodeFrames(frames, { from: position(0x200, 0x100, 0) as Position });

    expect(messages).toEqual([{ type: "commit", position: rest(0x230) }]);
  });
});

describe("a truncate", () => {
  test("is one event a table, in lane 0", () => {
    const messages = decodeFrames([ORDERS, FULL, begin(0x200n), truncate(0x100n, 1, 2), commit(0x200n, 0x230n)], {
      primaryKey: ["id"],
    });

    const body = { op: "truncated", key: null, before: null, after: null };
    expect(messages.map(shown)).toEqual([
      { position: position(0x200, 0x100, 0), subject: "cdc.shop.public.orders.truncated.p00", body },
      { position: `${position(0x200, 0x100, 1)}+`, subject: "cdc.shop.public.log.truncated.p00", body },
    ]);
  });
});

describe("a row that cannot be decoded", () => {
  test("is poison in its place, and the next one goes on", () => {
    const wrong = insert(0x100n, 1, ["1", "a"]); // a column too few
    const messages = decodeFrames([
      ORDERS,
      begin(0x200n),
      wrong,
      insert(0x100n, 1, ["2", "a", "b"]),
      commit(0x200n, 0x230n),
    ]);

    const payload = wrong.subarray(25);
    expect(messages[0]).toMatchObject({
      type: "poison",
      position: position(0x200, 0x100, 0),
      transaction: { id: "7" },
      namespace: "public",
      collection: "orders",
      sizeBytes: payload.length,
      sha256: createHash("sha256").update(payload).digest("hex"),
      error: { name: "PoisonError", code: "FRAME_MALFORMED" },
    });
    expect(positions(messages)).toEqual([position(0x200, 0x100, 0), `${position(0x200, 0x100, 1)}+`]);
  });

  test("keeps the first 64 KiB of its bytes", () => {
    const wrong = insert(0x100n, 1, ["1", "x".repeat(100_000)]);
    const [poison] = decodeFrames([ORDERS, begin(0x200n), wrong, commit(0x200n, 0x230n)]);

    expect(poison).toMatchObject({ type: "poison", position: `${position(0x200, 0x100, 0)}+` });
    expect((poison as { raw: Uint8Array }).raw).toEqual(Uint8Array.from(wrong.subarray(25, 25 + 65_536)));
  });

  test("does not leave half of a changed key", () => {
    const jsonb = relation(4, "odd", [{ name: "id", type: 3802, key: true }]);
    const [poison, next] = decodeFrames([
      jsonb,
      begin(0x200n),
      update(0x100n, 4, ["{no json"], { kind: "K", values: ["1"] }),
      commit(0x200n, 0x230n),
    ]);

    expect(poison).toMatchObject({ type: "poison", error: { code: "ROW_UNDECODABLE" } });
    expect(next).toBeUndefined();
  });
});

describe("types", () => {
  test("of domains are those that they are made of", () => {
    const messages = decodeFrames([
      typeName(70_000, "", "int4"),
      typeName(70_001, "public", "int4"),
      relation(1, "t", [
        { name: "id", type: 70_000, key: true },
        { name: "other", type: 70_001 },
      ]),
      begin(0x200n),
      insert(0x100n, 1, ["1", "1"]),
      commit(0x200n, 0x230n),
    ]);

    expect(bodies(messages)).toMatchObject([{ after: { id: 1, other: "1" } }]);
  });

  test("of a table may change inside a transaction", () => {
    const messages = decodeFrames([
      ORDERS,
      begin(0x200n),
      insert(0x100n, 1, ["1", "a", "b"]),
      relation(1, "orders", [{ name: "id", type: INT4, key: true }, { name: "state" }]),
      insert(0x110n, 1, ["2", "c"]),
      commit(0x200n, 0x230n),
    ]);

    expect(bodies(messages)).toMatchObject([{ after: { status: "a" } }, { after: { id: 2, state: "c" } }]);
  });
});
