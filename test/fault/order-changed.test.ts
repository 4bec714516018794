// What becomes of events when a live automation is given `order: "key"`, or loses it: a deployment has both for a while.

import { describe, expect, test } from "vitest";
import type { Automation } from "../../src/automation/define/automation.ts";
import { onOrder, startWorker } from "../support/automations.ts";
import { freshNats, missing } from "../support/servers.ts";
import { ShopStream } from "../support/shop-stream.ts";
import { waitFor } from "../support/wait-for.ts";

describe.skipIf(missing("nats"))("an automation whose order changes", () => {
  test.each([
    ["is given", undefined, "key"],
    ["loses", "key", undefined],
  ] as const)(
    "%s its order while the worker before it still runs: each event is handled, and in order where it has one",
    async (_, before, after) => {
      await using nats = await freshNats();
      await using stream = await ShopStream.create(nats.url);
      const handled = new Map<string, number[]>();
      const running = new Map<string, number>();
      let overlaps = 0;
      const mail = (by: string, order: "key" | undefined): Automation =>
        onOrder(
          "mail",
          async ({ event: { sequence, after: row } }) => {
            const key = `${by} ${row.id}`;
            running.set(key, (running.get(key) ?? 0) + 1);
            if ((running.get(key) ?? 0) > 1 && order === "key") overlaps++;
            await new Promise((resolve) => setTimeout(resolve, 5));
            running.set(key, (running.get(key) ?? 1) - 1);
            handled.set(key, [...(handled.get(key) ?? []), sequence]);
          },
          { ...(order && { order }), concurrency: 4 },
        );
      const write = async (): Promise<void> => {
        for (let n = 0; n < 30; n++) await stream.order("created", { id: n % 3, status: "ok" });
      };
      const all = (): readonly number[] => [...new Set([...handled.values()].flat())];
      await write();
      const first = await startWorker({ url: nats.url, ackWaitMs: 3000, automations: [mail("first", before)] });
      await waitFor(() => all().length >= 10, { what: "the first one to work" });
      await using second = await startWorker({ url: nats.url, ackWaitMs: 3000, automations: [mail("second", after)] });
      await write();
      await waitFor(() => second.running.status()[0]?.state === "running", { what: "the second one to run" });
      await first.stop();
      const since = [...handled.values()].flat().length;
      await write();
      await waitFor(async () => (await stream.open("mail")) === 0, { what: "all to be settled" });

      expect(since).toBeGreaterThan(0);
      expect(all()).toHaveLength(90);
      expect(overlaps).toBe(0);
      for (const [key, sequences] of handled) {
        const ordered = key.startsWith(after === "key" ? "second" : "first");
        const behind = [...new Set(sequences)];
        if (ordered) expect(behind).toEqual(behind.toSorted((a, b) => a - b));
      }
      expect(await stream.deadLetters("mail")).toEqual([]);
    },
    60_000,
  );
});
