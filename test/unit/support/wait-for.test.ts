// Waiting for conditions: what ends it, and what it says in vain.

import { expect, test } from "vitest";
import { waitFor } from "../../support/wait-for.ts";

test("resolves to the first answer that is neither undefined nor false", async () => {
  const answers = [undefined, false, 0, 1];

  expect(await waitFor(() => answers.shift(), { what: "an answer" })).toBe(0);
});

test("an error counts as not yet", async () => {
  let calls = 0;
  const look = (): boolean => {
    calls++;
    if (calls === 1) throw new Error("not there");
    return true;
  };

  expect(await waitFor(look, { what: "it" })).toBe(true);
});

test("in vain it says what it waited for and the last answer", async () => {
  const look = (): boolean => {
    throw new Error("still away");
  };

  await expect(waitFor(look, { what: "the server", timeoutMs: 50 })).rejects.toThrow(
    /50 ms in vain for the server.*still away/s,
  );
});
