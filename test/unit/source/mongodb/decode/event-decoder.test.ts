import { BSON, Long, Timestamp } from "mongodb";
import { expect, test } from "vitest";
import { JsonWriter } from "../../../../../src/event/json-writer.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
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
