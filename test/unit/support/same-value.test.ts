// Whether the judge of values knows right from wrong, type by type.

import { expect, test } from "vitest";
import { isSameValue } from "../../support/check/same-value.ts";

test.each([
  ["integer", "7", 7, "7"],
  ["bigint", "9007199254740993", "9007199254740993", 9007199254740992],
  ["numeric", "1.50", "1.50", "1.5"],
  ["double precision", "0.1", 0.1, "0.1"],
  ["double precision", "NaN", "NaN", null],
  ["boolean", "false", false, true],
  ["bytea", "\\x0102", "AQI=", "\\x0102"],
  ["jsonb", '{"a": [1, 2]}', { a: [1, 2] }, { a: [2, 1] }],
  ["timestamp with time zone", "2024-02-29 18:29:59.5+00", "2024-02-29T18:29:59.5Z", "2024-02-29T18:29:59.500Z"],
  ["timestamp without time zone", "2024-02-29 18:29:59", "2024-02-29T18:29:59", "2024-02-29T18:29:59Z"],
  ["text", "it's", "it's", "its"],
  ["text", null, null, undefined],
  ["text", undefined, undefined, null],
  ["integer[]", "{1}", [1], null],
])("%s %s is %j and not %j", (type, truth, right, wrong) => {
  expect(isSameValue(right, truth, type)).toBe(true);
  expect(isSameValue(wrong, truth, type)).toBe(false);
});
