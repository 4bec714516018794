// What is remembered of an event between its attempts, read back as some version has stored it.

import { expect, test } from "vitest";
import { type Attempts, AttemptsRecord, sweepAttempts } from "../../../src/automation/deliver/attempts.ts";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";
import type { SourceId } from "../../../src/event/source-id.ts";

function load(value: unknown): Promise<Attempts | undefined> {
  const state = { get: async () => ({ value, revision: 1 }) } as unknown as StateStore;
  return new AttemptsRecord(state, "mail", { stream: "CDC_SHOP", sequence: 7 }, "shop.1").load();
}

const shop = "shop" as SourceId;

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

test("what is settled of a stint takes along what is remembered of its events and of those before it, never of a newer seek's", async () => {
  const state = memoryStore();
  const keys = ["7", "9", "7.seek-1", "7.seek-2", "9.seek-2"].map((name) => `attempts.mail.CDC_SHOP.${name}`);
  for (const key of keys) await state.put(key, {}, 0);
  const left = async (): Promise<readonly string[]> =>
    (await state.keys("attempts.")).map((key) => key.slice("attempts.mail.CDC_SHOP.".length));

  await sweepAttempts(state, "mail", shop, { through: 8, seek: undefined });
  expect(await left()).toEqual(["9", "7.seek-1", "7.seek-2", "9.seek-2"]);
  await sweepAttempts(state, "mail", shop, { through: 9, seek: { n: 1 } });
  expect(await left()).toEqual(["7.seek-2", "9.seek-2"]);
});
