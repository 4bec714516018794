// What emit() refuses with a reason before anything is written, where a driver, a database or nobody would have told.

import { expect, test } from "vitest";
import { dynamoOutbox, outbox } from "../../../src/outbox.ts";

interface Circle {
  self?: Circle;
}
const circle: Circle = {};
circle.self = circle;

const nothing = async () => expect.unreachable();

test.each<[string, object, string]>([
  ["a bigint in its data, as drivers read int8", { data: { id: 9_007_199_254_740_993n } }, "a bigint must go as text"],
  ["data that holds itself", { data: circle }, "JSON.stringify throws TypeError at its data"],
  ["a key that came of no number", { key: Number.NaN }, "its key is no text and no number"],
  ["a misspelt part", { header: { tenant: "a" } }, "it has header, where an event has key, data, headers, id"],
])("%s", async (_, more, reason) => {
  const event = { key: 1, data: 1, ...more };
  const said = { code: "OUTBOX_EVENT_INVALID", message: expect.stringContaining(reason) };

  await expect(outbox(nothing).emit("a.b", event)).rejects.toMatchObject(said);
  await expect(outbox(nothing, { mode: "message" }).emit("a.b", event)).rejects.toMatchObject(said);
  await expect(dynamoOutbox({ table: "outbox" }).emit("a.b", event)).rejects.toMatchObject(said);
});

test("no event at all", async () => {
  await expect(outbox(nothing).emit("a.b", undefined as never)).rejects.toThrow("it has no key, and no data");
});

test.each<[string, object]>([
  ["data", { data: { text: "a\u0000b" } }],
  ["data", { data: ["\\\ud800"] }],
  ["data", { data: { "\udc00": 1 } }],
  ["key", { key: "a\u0000" }],
  ["headers", { headers: { tenant: "\ud83d" } }],
])("%s that no text of Postgres can hold: %j", async (part, more) => {
  const emit = outbox(nothing).emit("a.b", { key: 1, data: 1, ...more });

  await expect(emit).rejects.toMatchObject({
    code: "OUTBOX_EVENT_INVALID",
    message: `"a.b" cannot be an event: its ${part} holds U+0000, or half a surrogate pair, which Postgres cannot store`,
  });
});

test("text that only looks like it is written, and a message holds all of it", async () => {
  const written: string[] = [];
  const run = async (_: string, values: readonly string[]): Promise<object> => {
    written.push(values.join(" "));
    return [{ written: values[4] ?? "0/16B3748" }];
  };
  await outbox(run).emit("a.b", { key: "\\u0000", data: ["\\u0000", "\\\\ud800", "\ud83d\ude00", "\u0001"] });
  await outbox(run, { mode: "message" }).emit("a.b", { key: 1, data: "\u0000" });

  expect(written).toHaveLength(2);
});

test("an option that there is not is refused by its name", () => {
  const said = (code: string, option: string) =>
    expect.objectContaining({ code, message: `${option}: this outbox has no such option` });

  expect(() => outbox(nothing, { event: {} } as never)).toThrow(said("OUTBOX_OPTION_UNKNOWN", "event"));
  expect(() => outbox(nothing, { lineage: {} } as never)).toThrow(said("OUTBOX_OPTION_UNKNOWN", "lineage"));
  expect(() => dynamoOutbox({ table: "outbox", keep: 7 } as never)).toThrow(said("OUTBOX_OPTION_UNKNOWN", "keep"));
  expect(() => outbox({ inTransaction: () => true }, { collection: {}, mode: "message" } as never)).toThrow(
    said("OUTBOX_OPTION_UNKNOWN", "mode"),
  );
});
