// Events whose handler ends the process, and what was beside them.

import { describe, expect, test } from "vitest";
import type { Note } from "../../support/check/automation-order.ts";
import { AutomationProcess } from "../../support/process/automation-process.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Enough for a process to start in. */
const ackWaitMs = 1500;

describe.skipIf(missing("nats"))("events whose handler ends the process", () => {
  test("become dead letters that count the starts, and take no neighbour along, of whichever automation", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const notes: Note[] = [];
    const order = { url, automations: ["mail", "bill"], ackWaitMs, missedLookMs: 100, attempts: 1 };
    for (let id = 1; id <= 6; id++)
      await stream.order("created", { id, status: id > 4 ? "slow:150 kill" : "slow:300" });
    let kills = 0;
    for (let over = false; !over; kills++) {
      await using worker = new AutomationProcess(order, (note) => notes.push(note));
      await waitFor(
        async () => {
          const left = (await Promise.all(order.automations.map((id) => stream.open(id)))).reduce((a, b) => a + b);
          over = left === 0;
          return over || !worker.running;
        },
        { what: "the end of the process, or of all events" },
      );
      expect(kills).toBeLessThan(24);
    }

    for (const automation of order.automations) {
      const ok = notes.filter((note) => note.what === "ok" && note.automation === automation);
      expect([...new Set(ok.map(({ id }) => id))].sort()).toEqual([1, 2, 3, 4]);
      const letters = await stream.deadLetters(automation);
      expect(letters.map(({ event }) => (event as { readonly sequence: number }).sequence).sort()).toEqual([5, 6]);
      for (const letter of letters) {
        const { sequence } = letter.event as { readonly sequence: number };
        const started = notes.filter(
          (note) => note.what === "start" && note.automation === automation && note.sequence === sequence,
        );
        // The first handing-out has no note: it costs nothing where all goes well.
        expect(letter).toMatchObject({ reason: "crashed", error: { code: "AUTOMATION_CRASHED" } });
        expect(started.length - Number(letter.attempts)).toBeLessThanOrEqual(1);
        expect(Number(letter.attempts)).toBeLessThanOrEqual(started.length);
      }
    }
  });
});
