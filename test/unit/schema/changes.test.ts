// What is said to have changed between two versions of a collection.

import { expect, test } from "vitest";
import type { CollectionSchema, ColumnSchema } from "../../../src/event/collection-schema.ts";
import { schemaChanges } from "../../../src/schema/changes.ts";

const column = (name: string, number: number | null, more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  number,
  type: "text",
  nullable: true,
  value: { type: "string" },
  ...more,
});

const orders = (columns: readonly ColumnSchema[], more: Partial<CollectionSchema> = {}): CollectionSchema => ({
  id: "16400",
  namespace: "public",
  collection: "orders",
  identity: "key",
  key: ["id"],
  columns,
  ...more,
});

const id = column("id", 1, { type: "integer", nullable: false });
const before = orders([id, column("status", 2), column("note", 3)]);

test("a version that differs in nothing changes nothing", () => {
  expect(schemaChanges(before, structuredClone(before))).toEqual({});
});

test("added, dropped and renamed columns are told apart by their numbers", () => {
  const after = orders([id, column("state", 2), column("note", 4)]);
  expect(schemaChanges(before, after)).toEqual({
    added: ["note"],
    dropped: ["note"],
    renamed: [{ from: "status", to: "state" }],
  });
});

test("without numbers a column is the one of its name", () => {
  const after = orders([column("id", null, id), column("status", null), column("state", null)]);
  const unnumbered = { ...after, columns: after.columns.map((one) => ({ ...one, number: null })) };
  expect(schemaChanges(before, unnumbered)).toMatchObject({ added: ["state"], dropped: ["note"] });
  expect(schemaChanges(before, unnumbered)).not.toHaveProperty("renamed");
});

test("types, what may be null and the JSON of a value are compared by column", () => {
  const after = orders([
    id,
    column("status", 2, { type: "varchar(20)", nullable: false }),
    column("note", 3, { value: {} }),
  ]);
  expect(schemaChanges(before, after)).toEqual({
    retyped: [{ column: "status", from: "text", to: "varchar(20)" }],
    nullable: [{ column: "status", nullable: false }],
    recoded: ["note"],
  });
});

test("a version that only adds a pattern to texts has changed nothing", () => {
  const texts = (...values: readonly unknown[]) => ({ value: { anyOf: values } }) as Partial<ColumnSchema>;
  const text = { type: "string" };
  const older = orders([column("note", 3, texts(text, { enum: ["NaN"] }))]);
  const newer = orders([column("note", 3, texts({ ...text, pattern: "^a$" }, { enum: ["NaN"] }))]);
  expect(schemaChanges(older, newer)).toEqual({});
  expect(schemaChanges(newer, older)).toEqual({});
  const other = orders([column("note", 3, texts({ ...text, pattern: "^b$" }, { enum: ["NaN"] }))]);
  expect(schemaChanges(newer, other)).toEqual({ recoded: ["note"] });
  const longer = orders([column("note", 3, texts(text, { enum: ["NaN"] }, { type: "null" }))]);
  expect(schemaChanges(older, longer)).toEqual({ recoded: ["note"] });
});

test("a collection's new name, its identity and its key are told with what they were", () => {
  const after = orders(before.columns, { namespace: "sales", collection: "order", identity: "full", key: ["status"] });
  expect(schemaChanges(before, after)).toEqual({ renamedFrom: "public.orders", identity: "key", key: ["id"] });
});

test("a renamed key column is no other key", () => {
  const after = orders([column("number", 1, { ...id, name: "number" }), ...before.columns.slice(1)], {
    key: ["number"],
  });
  expect(schemaChanges(before, after)).toEqual({ renamed: [{ from: "id", to: "number" }] });
});
