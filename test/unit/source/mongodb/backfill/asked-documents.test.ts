// The `_id` that a key of the stream stands for, of all types and of texts that could be taken for one of them.

import { BSON, Decimal128, Double, Int32, Long, MinKey, ObjectId, UUID } from "mongodb";
import { expect, test } from "vitest";
import { JsonWriter } from "../../../../../src/source/json-writer.ts";
import { idOfKey } from "../../../../../src/source/mongodb/backfill/asked-documents.ts";
import { idOf } from "../../../../../src/source/mongodb/backfill/row-body.ts";
import { subjectOf } from "../../../../../src/source/mongodb/decode/key.ts";

const raw = (document: BSON.Document): Buffer => Buffer.from(BSON.serialize(document));
const keyOf = (id: unknown): string => subjectOf(new JsonWriter(), idOf(raw({ _id: id })));

test.each([
  ...[
    "",
    "a",
    "a,b/c %25 ä",
    "7",
    "-7",
    "1e5",
    "true",
    "null",
    "NaN",
    '"',
    '{"a":1}',
    "[1]",
    "6512BD43d9caa6e02c990b0a",
  ],
  ...[new ObjectId(), new ObjectId("123456789012345678901234"), Long.MIN_VALUE, true, null, new Date(7), new UUID()],
  ...[
    new Double(7),
    new Double(Number.NaN),
    Decimal128.fromString("7.0"),
    new MinKey(),
    { b: new Int32(1), a: [null] },
  ],
])("%j", (id) => {
  expect(raw({ _id: idOfKey(keyOf(id)) })).toEqual(raw({ _id: id }));
});

test("an int32 comes as the int64 that is equal to it", () => {
  expect(idOfKey(keyOf(new Int32(-7)))).toEqual(Long.fromNumber(-7));
});
