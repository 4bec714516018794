import { BSON, Long, Timestamp } from "mongodb";
import { expect, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { JsonWriter } from "../../../../../src/source/json-writer.ts";
import { EventDecoder } from "../../../../../src/source/mongodb/decode/event-decoder.ts";
import type { SourceMessage } from "../../../../../src/source/source.ts";

const session = new BSON.Binary(Buffer.alloc(16, 7), 4);

function decoder(): EventDecoder {
  return new EventDecoder({
    source: "shop" as SourceId,
    writer: new JsonWriter(),
    encoding: "json",
    images: { before: "none", after: "none" },
    reads: () => true,
    from: { history: 1, time: { t: 1, i: 0 }, ordinal: 0, idle: 0, token: undefined },
  });
}

/** The insert of a document with one string, as the server sends it. */
function inserted(n: number, { transaction = false }: { readonly transaction?: boolean } = {}): Buffer {
  return Buffer.from(
    BSON.serialize({
      _id: { _data: `82${n.toString(16).padStart(8, "0")}` },
      operationType: "insert",
      clusterTime: new Timestamp({ t: 5, i: 1 }),
      ns: { db: "shop", coll: "orders" },
      documentKey: { _id: n },
      fullDocument: { _id: n, mark: "here" },
      ...(transaction ? { lsid: { id: session }, txnNumber: Long.fromNumber(3) } : {}),
    }),
  );
}

/** The same, whose string is of a type that BSON does not have. */
function broken(event: Buffer): Buffer {
  const copy = Buffer.from(event);
  copy[copy.indexOf("mark\0") - 1] = 0x40;
  return copy;
}

function shapes(messages: readonly SourceMessage[]): readonly unknown[] {
  return messages.map((message) => [
    message.type,
    "position" in message && message.position?.endsWith("+"),
    ...("transaction" in message ? [message.transaction?.id?.slice(-2)] : []),
  ]);
}

test("an event that cannot be written is poison in its place, and the next one follows", () => {
  const one = decoder();
  const raw = broken(inserted(1));
  const [poison, ...none] = one.decode(raw);
  expect(none).toEqual([]);
  expect(poison).toMatchObject({
    ...{ type: "poison", namespace: "shop", collection: "orders", sizeBytes: raw.length },
    error: { code: "BSON_MALFORMED" },
  });
  expect(shapes(one.decode(inserted(2)))).toEqual([["change", true, undefined]]);
});

test("poison within a transaction holds its place in it, first, in the middle and last", () => {
  for (const at of [0, 1, 2]) {
    const one = decoder();
    const events = [1, 2, 3].map((n) => inserted(n, { transaction: true }));
    const messages = events.flatMap((event, n) => one.decode(n === at ? broken(event) : event));
    const kinds = [0, 1, 2].map((n) => (n === at ? "poison" : "change"));
    expect(shapes([...messages, ...one.settle()])).toEqual([
      [kinds[0], false, ":3"],
      [kinds[1], false, ":3"],
      [kinds[2], true, ":3"],
    ]);
  }
});

test("a poisonous event has the place that it would have as a change", () => {
  const [whole, poison] = [inserted(1), broken(inserted(1))].map((event) => decoder().decode(event)[0]);
  expect(whole).toHaveProperty("position");
  expect(poison).toHaveProperty("position", (whole as { position: string }).position);
});

/** A part of the insert of document 7, as the server splits it. */
function fragment(nth: number, of: number, members: BSON.Document): Buffer {
  return Buffer.from(
    BSON.serialize({ _id: { _data: `8200000007${nth}${of}` }, splitEvent: { fragment: nth, of }, ...members }),
  );
}

const parts = [
  fragment(1, 3, {
    operationType: "insert",
    clusterTime: new Timestamp({ t: 5, i: 1 }),
    ns: { db: "shop", coll: "o" },
  }),
  fragment(2, 3, { fullDocument: { _id: 7, mark: "here" } }),
  fragment(3, 3, { documentKey: { _id: 7 } }),
] as const;

function body(messages: readonly SourceMessage[]): unknown {
  return messages.map((message) => ("data" in message ? JSON.parse(Buffer.from(message.data).toString()) : message));
}

const whole = [{ op: "created", key: { _id: 7 }, before: null, after: { _id: 7, mark: "here" } }];

test("the fragments of a split event make one event at the last one's token, and nothing of it reaches into the next", () => {
  const one = decoder();
  expect([one.decode(parts[0]), one.decode(parts[1])]).toEqual([[], []]);
  const messages = one.decode(parts[2]);
  expect(body(messages)).toEqual(whole);
  expect(messages[0]?.position).toContain("820000000733");
  const deleted = { _id: { _data: "8200000008" }, operationType: "delete", ns: { db: "shop", coll: "o" } };
  const next = { ...deleted, clusterTime: new Timestamp({ t: 6, i: 1 }), documentKey: { _id: 7 } };
  expect(body(one.decode(Buffer.from(BSON.serialize(next))))).toEqual([
    { op: "deleted", key: { _id: 7 }, before: null, after: null },
  ]);
});

test("a split event whose stream was opened again before it begins anew; one that lacks a fragment is refused", () => {
  const one = decoder();
  one.decode(parts[0]);
  one.decode(parts[1]);
  const messages = parts.flatMap((part) => one.decode(part));
  expect(body(messages)).toEqual(whole);
  expect(() => [parts[0], parts[2]].map((part) => one.decode(part))).toThrow(
    expect.objectContaining({ code: "BSON_MALFORMED" }),
  );
});

test("updates tell the top-level fields that they touched, by exact paths where the server gives them", () => {
  const update = {
    _id: { _data: "8200000009" },
    operationType: "update",
    clusterTime: new Timestamp({ t: 6, i: 1 }),
    ns: { db: "shop", coll: "o" },
    documentKey: { region: "eu", _id: 7 },
    updateDescription: {
      updatedFields: { "b.c": 1, "a.1": 2, "x.y": 3 },
      removedFields: ["z.q", "b"],
      truncatedArrays: [{ field: "list.of", newSize: 2 }],
      disambiguatedPaths: { "x.y": ["x.y"] },
    },
  };
  const [told] = body(decoder().decode(Buffer.from(BSON.serialize(update)))) as [Record<string, unknown>];
  expect(told).toMatchObject({ op: "updated", key: { _id: 7 }, shardKey: { region: "eu" }, after: null });
  expect(told.update).toEqual(update.updateDescription);
  expect(told.changed).toEqual(["a", "b", "list", "x.y", "z"]);
});

/** A resume token, as the server sends it; of a time alone where `own` is left out. */
function token(t: number, own = "2B0429296E1404"): Buffer {
  return Buffer.from(BSON.serialize({ _data: `82${t.toString(16).padStart(8, "0")}00000001${own}` }));
}

/** Positions without their tokens. */
function places(messages: readonly SourceMessage[]): readonly string[] {
  return messages.map(({ position = "" }) => position.replace(/\.82\w+/, "."));
}

test("an idle place has the time that the server was at, and what comes at that time is numbered as without it", () => {
  const [with_, without] = [decoder(), decoder()];
  const event = inserted(2);
  const idle = with_.idle(token(5), { t: 5, i: 1 });
  expect(places(idle)).toEqual(["0001.0000000500000001.00000000.00000001.+"]);
  expect(places(with_.decode(event))).toEqual(places(without.decode(event)));

  expect(places(with_.idle(token(4), { t: 4, i: 9 }))).toEqual(["0001.0000000500000001.00000001.00000001.+"]);
  expect(with_.idle(token(4), { t: 4, i: 9 })).toEqual([]); // nothing has moved
});

test("there is no idle place inside of a transaction, nor inside of a split event; its last fragment's token is the place", () => {
  const one = decoder();
  const before = one.decode(inserted(1, { transaction: true }));
  expect([...before, ...one.idle(token(9), { t: 9, i: 1 })]).toEqual([]);
  one.settle();
  const at = one.place;

  const part = (fragment: number, members: BSON.Document): Buffer =>
    Buffer.from(
      BSON.serialize({ _id: { _data: `8200000005000000010${fragment}` }, splitEvent: { fragment, of: 3 }, ...members }),
    );
  const head = {
    operationType: "insert",
    clusterTime: new Timestamp({ t: 5, i: 1 }),
    ns: { db: "shop", coll: "orders" },
    documentKey: { _id: 7 },
  };
  for (const fragment of [1, 2]) {
    expect(one.decode(part(fragment, fragment === 1 ? head : { wallTime: new Date(0) }))).toEqual([]);
    expect(one.idle(token(5, `0${fragment}`), { t: 5, i: 1 })).toEqual([]);
    expect(one.place).toEqual(at);
  }
  const [change] = one.decode(part(3, { fullDocument: { _id: 7 } }));
  expect(change).toMatchObject({ type: "change", position: expect.stringMatching(/\.82000000050000000103\+$/) });
});
