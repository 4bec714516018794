// The reader of test_decoding's lines: what the guarantees take for the truth. The lines were printed by Postgres 18.

import { expect, test } from "vitest";
import { parseChange } from "../../support/check/test-decoding.ts";

const keys = new Map([
  ['"We ird"."t b"', ["i d"]],
  ["public.full", ["a"]],
]);

test("an insert with names, types and texts of every awkward kind", () => {
  const line = `table "We ird"."t b": INSERT: "i d"[bigint]:1 a[numeric]:2.50 b[text]:'it''s
 new-tuple: [x] \\' c[bytea]:'\\x0102' d[boolean]:true e[integer[]]:'{1,2}' g[bit]:B'101' i[character varying]:null`;

  const [change, ...others] = parseChange("7", line, keys);

  expect(others).toEqual([]);
  expect(change).toMatchObject({
    transaction: "7",
    namespace: "We ird",
    collection: "t b",
    op: "created",
    key: { "i d": "1" },
  });
  expect(Object.fromEntries(change?.after?.values ?? [])).toEqual({
    "i d": "1",
    a: "2.50",
    b: "it's\n new-tuple: [x] \\",
    c: "\\x0102",
    d: "true",
    e: "{1,2}",
    g: "101",
    i: null,
  });
  expect(change?.after?.types.get("e")).toBe("integer[]");
  expect(change?.after?.types.get("i")).toBe("character varying");
});

test("a changed key is a deletion and a creation", () => {
  const line = `table "We ird"."t b": UPDATE: old-key: "i d"[bigint]:1 new-tuple: "i d"[bigint]:2 b[text]:unchanged-toast-datum`;

  const changes = parseChange("8", line, keys);

  expect(changes).toMatchObject([
    { op: "deleted", key: { "i d": "1" }, moved: "movedTo", after: undefined },
    { op: "created", key: { "i d": "2" }, moved: "movedFrom" },
  ]);
  expect(changes[1]?.after?.values.get("b")).toBeUndefined();
});

test("a whole old row tells what an unchanged value is, and is no changed key", () => {
  const line = `table public.full: UPDATE: old-key: a[integer]:1 big[text]:'long' n[integer]:1 new-tuple: a[integer]:1 big[text]:unchanged-toast-datum n[integer]:2`;

  const [change, ...others] = parseChange("9", line, keys);

  expect(others).toEqual([]);
  expect(change).toMatchObject({ op: "updated", key: { a: "1" } });
  expect(change?.after?.values.get("big")).toBe("long");
});

test("a truncate of two tables is two changes", () => {
  const changes = parseChange("9", 'table public.full, "We ird"."t b": TRUNCATE: restart_seqs cascade', keys);

  expect(changes).toMatchObject([
    { op: "truncated", collection: "full", key: null },
    { op: "truncated", collection: "t b", key: null },
  ]);
});

test("a deletion without a key has none", () => {
  expect(parseChange("9", "table public.nokey: DELETE: (no-tuple-data)", keys)).toMatchObject([
    { op: "deleted", key: null },
  ]);
});
