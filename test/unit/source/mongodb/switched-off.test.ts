// A server that could have change streams and has them switched off: said once, with the way out, and not tried for ever.

import { MongoServerError } from "mongodb";
import { expect, test } from "vitest";
import { translateError } from "../../../../src/source/mongodb/client/errors.ts";

const refused = (code: number, message: string, opening = true) =>
  translateError(new MongoServerError({ code, message }), opening);

test.each([
  [136, "{$changeStream} ChangeStreams are not enabled for db: shop"],
  [20, "ChangeStream must be enabled on the collection"],
  [148, "Majority read concern requested, but it is not supported by the storage engine"],
])("code %d: %s", (code, message) => {
  expect(refused(code, message)).toMatchObject({
    name: "ConfigError",
    code: "CHANGE_STREAMS_OFF",
    message: `the server's change streams are switched off (code ${code})`,
    hint: expect.stringContaining("which server answers"),
  });
});

test("the same code with other words is another matter, and so is a stream that runs", () => {
  expect(refused(136, "CollectionScan died due to position in capped collection being deleted")).toMatchObject({
    name: "TransientError",
  });
  expect(refused(20, "ChangeStream must be enabled on the collection", false)).toMatchObject({
    name: "TransientError",
  });
});
