import { expect, test } from "vitest";
import { editDistance, nearest } from "../../../src/config/nearest.ts";

test.each([
  ["", "abc", 3],
  ["fsync", "fsync", 0],
  ["fsnyc", "fsync", 1],
  ["tabels", "tables", 1],
  ["kitten", "sitting", 3],
])("from %s to %s it is %i letters", (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});

test("a word unlike all candidates has no nearest", () => {
  expect(nearest("zzz", ["servers", "replicas"])).toBeUndefined();
  expect(nearest("Servers", ["servers", "replicas"])).toBe("servers");
});
