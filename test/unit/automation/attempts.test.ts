// What is remembered of an event between its attempts, read back as some version has stored it.

import { expect, test } from "vitest";
import { type Attempts, AttemptsRecord } from "../../../src/automation/deliver/attempts.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";

function load(value: unknown): Promise<Attempts | undefined> {
  const state = { get: async () => ({ value, revision: 1 }) } as unknown as StateStore;
  return new AttemptsRecord(state, "mail", { stream: "CDC_SHOP", sequence: 7 }, "shop.1").load();
}

const cause = { name: "Error", message: "away", at: ["work (automations/mail.ts:12:9)"] };

test.each<[string, object]>([
  [
    "that failed",
    { id: "shop.1", attempts: 1, firstAt: 5, lastError: { name: "Error", message: "no", code: "E", cause } },
  ],
  ["that only began", { id: "shop.1", attempts: 0, firstAt: 5, unexplained: 2 }],
  ["that is decided", { id: "shop.1", attempts: 3, firstAt: 5, lastError: cause, dead: "exhausted" }],
])("one %s is as it was stored", async (_, stored) => {
  expect(await load(stored)).toEqual(stored);
});

test("another event's under the same number is none, and what cannot be read is not guessed", async () => {
  expect(await load({ id: "shop.2", attempts: 1, firstAt: 5 })).toBeUndefined();
  await expect(load({ id: "shop.1", attempts: "1" })).rejects.toMatchObject({
    name: "BugError",
    code: "MEMORY_UNREADABLE",
  });
});
