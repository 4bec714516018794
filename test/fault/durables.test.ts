// Two workers whose durable is deleted at random while events wait for their retries, which are frozen for longer than the
// bus waits for them, and killed.

import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { Random } from "../support/bus/scripted-bus.ts";
import type { Note } from "../support/check/automation-order.ts";
import { seedOf } from "../support/fault-ground.ts";
import { AutomationProcess } from "../support/process/automation-process.ts";
import { freshNats, missing } from "../support/servers.ts";
import { ShopStream } from "../support/shop-stream.ts";
import { waitFor } from "../support/wait-for.ts";

const EVENTS = 400;
const SEEDS = 4;
const FAULTS = 10;
const ATTEMPTS = 3;
const ackWaitMs = 2000;

/** A durable that was deleted: all up to `through` was on record as settled by then. */
interface Deletion {
  readonly at: number;
  readonly through: number;
}

describe.skipIf(missing("nats"))(
  "each event is handled, dead or told, and what was settled on record is not repeated",
  () => {
    const first = seedOf("durables");
    test.each(Array.from({ length: SEEDS }, (_, nth) => first + nth))("with seed %i", async (seed) => {
      const random = new Random(seed);
      await using nats = await freshNats();
      const { url } = nats;
      await using stream = await ShopStream.create(url);
      const notes: Note[] = [];
      const order = { url, automations: ["mail"], ackWaitMs, missedLookMs: 300, attempts: ATTEMPTS, retryMs: 400 };
      const start = (): AutomationProcess => new AutomationProcess(order, (note) => notes.push(note));
      const workers = [start(), start()];
      try {
        await stream.order("created", { id: 0, status: "ok" });
        await waitFor(() => notes.length > 0, { what: "the first handler" });
        const statuses = new Map<number, string>();
        const write = async (): Promise<void> => {
          for (let id = 1; id <= EVENTS; id++) {
            const dice = random.next();
            const status =
              dice < 0.6 ? "ok" : dice < 0.75 ? "once" : dice < 0.85 ? "fail" : `slow:${random.below(600)}`;
            statuses.set(await stream.order("created", { id, status }), status);
            await sleep(random.below(30));
          }
        };
        const deletions: Deletion[] = [];
        const writing = write();
        for (let fault = 0; fault < FAULTS; fault++) {
          await sleep(200 + random.below(600));
          const nth = random.below(2);
          const worker = workers[nth];
          const dice = random.next();
          if (dice < 0.5) {
            deletions.push({ through: await onRecord(stream), at: Date.now() });
            await (await jetstreamManager(stream.nc)).consumers.delete("CDC_SHOP", "mail").catch(() => {});
          } else if (dice < 0.75) {
            worker?.freeze();
            await sleep(ackWaitMs * 1.5);
            worker?.wake();
          } else {
            await worker?.kill();
            workers[nth] = start();
          }
        }
        await writing;
        await waitFor(async () => (await stream.open("mail")) === 0, { what: "all to be settled", timeoutMs: 60_000 });

        const started = notes.filter(({ what }) => what === "start");
        const handled = new Set(notes.filter(({ what }) => what === "ok").map(({ sequence }) => sequence));
        const letters = (await stream.deadLetters("mail")).map((letter) => ({
          sequence: (letter.event as { readonly sequence: number }).sequence,
          reason: letter.reason,
          attempts: letter.attempts,
        }));
        const dead = new Map(letters.map((letter) => [letter.sequence, letter]));
        expect(letters).toHaveLength(dead.size);
        for (const [sequence, status] of statuses) {
          const letter = dead.get(sequence);
          if (status === "fail") expect(letter).toEqual({ sequence, reason: "exhausted", attempts: ATTEMPTS });
          else expect([sequence, handled.has(sequence), letter]).toEqual([sequence, true, undefined]);
        }
        expect(Math.max(...started.map(({ attempt }) => attempt))).toBeLessThanOrEqual(ATTEMPTS);
        // Each of them was handed out, and settled, before the durable was deleted.
        const again = started.filter(({ sequence, at }) =>
          deletions.some((deletion) => sequence <= deletion.through && at > deletion.at + 50),
        );
        expect(again).toEqual([]);
        // What was in hand of a worker that was killed or frozen, or not put on record yet.
        const repeats = started.length - new Set(started.map(({ sequence, attempt }) => `${sequence} ${attempt}`)).size;
        console.error(
          `seed ${seed}: ${deletions.length} deletions, ${repeats} of ${started.length} starts were repeats`,
        );
        expect(repeats).toBeLessThan(FAULTS * 20);
      } finally {
        await Promise.all(workers.map((worker) => worker.kill()));
      }
    });
  },
);

/** Up to where all is settled, as the workers keep it. */
async function onRecord(stream: ShopStream): Promise<number> {
  const { streams } = await jetstreamManager(stream.nc);
  const entry = await streams.getMessage("KV_millrace_state", {
    last_by_subj: "$KV.millrace_state.accounted.mail.CDC_SHOP",
  });
  return entry?.json<{ readonly through: number }>().through ?? 0;
}
