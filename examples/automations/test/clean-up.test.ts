import { due, given } from "millrace/testing";
import { expect, test } from "vitest";
import { cleanUp } from "../clean-up.ts";

test("each night it takes out what is older than ninety days, by the time that it was due", async () => {
  const r = await given([due(cleanUp, "2026-03-29T01:15:00Z"), due(cleanUp, "2026-03-30T01:15:00Z")]).when(cleanUp);

  expect(r.statements.map(({ values }) => values)).toEqual([
    ["2025-12-29T01:15:00.000Z"],
    ["2025-12-30T01:15:00.000Z"],
  ]);
});
