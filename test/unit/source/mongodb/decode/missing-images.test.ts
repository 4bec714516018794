// Images that were asked for and are not there are marked in the event, and counted by what they were asked of.

import { BSON, Timestamp } from "mongodb";
import { expect, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { JsonWriter } from "../../../../../src/source/json-writer.ts";
import type { Images } from "../../../../../src/source/mongodb/decode/event-body.ts";
import { EventDecoder } from "../../../../../src/source/mongodb/decode/event-decoder.ts";

/** What one event says of its images, and what was counted for it. */
function seen(
  operationType: string,
  images: Images,
  more: BSON.Document = {},
): { readonly marks: readonly string[]; readonly counted: readonly string[] } {
  const counted: string[] = [];
  const decoder = new EventDecoder({
    source: "shop" as SourceId,
    writer: new JsonWriter(),
    encoding: "json",
    images,
    reads: () => true,
    onMissing: (what) => counted.push(what),
    from: { history: 1, time: { t: 1, i: 0 }, ordinal: 0, idle: 0, token: undefined },
  });
  const raw = BSON.serialize({
    _id: { _data: "8200000005" },
    operationType,
    clusterTime: new Timestamp({ t: 5, i: 1 }),
    ns: { db: "shop", coll: "orders" },
    documentKey: { _id: 1 },
    ...(operationType === "update" ? { updateDescription: { updatedFields: { a: 2 }, removedFields: [] } } : {}),
    ...more,
  });
  const [message] = decoder.decode(Buffer.from(raw));
  const body = JSON.parse(Buffer.from((message as { data: Uint8Array }).data).toString()) as Record<string, unknown>;
  return { marks: Object.keys(body).filter((member) => member.endsWith("Missing")), counted };
}
const whole = { _id: 1, a: 2 };

test.each([
  ["update", { before: "none", after: "lookup" }, {}, ["afterMissing"], ["lookupsEmpty"]],
  ["update", { before: "none", after: "stored" }, {}, ["afterMissing"], ["imagesMissing"]],
  [
    "update",
    { before: "stored", after: "stored" },
    {},
    ["beforeMissing", "afterMissing"],
    ["imagesMissing", "imagesMissing"],
  ],
  ["delete", { before: "stored", after: "lookup" }, {}, ["beforeMissing"], ["imagesMissing"]],
  ["replace", { before: "stored", after: "none" }, { fullDocument: whole }, ["beforeMissing"], ["imagesMissing"]],
  ["update", { before: "stored", after: "lookup" }, { fullDocument: whole, fullDocumentBeforeChange: whole }, [], []],
  ["update", { before: "none", after: "none" }, {}, [], []],
  ["insert", { before: "stored", after: "stored" }, { fullDocument: whole }, [], []],
  ["delete", { before: "none", after: "lookup" }, {}, [], []],
] as const)("%s with %o", (kind, images, more, marks, counted) => {
  expect(seen(kind, images, more)).toEqual({ marks, counted });
});
