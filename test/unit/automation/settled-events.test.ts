// What a worker knows of the events that it has settled, when one of them comes again.

import { expect, test } from "vitest";
import type { Said } from "../../../src/automation/deliver/job.ts";
import { SettledEvents } from "../../../src/automation/deliver/settled-events.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import type { Delivery } from "../../../src/bus/subscription.ts";
import { realClock } from "../../../src/clock.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";

const source = "shop" as SourceId;
const done: Said = { outcome: "done", told: { attempt: 1 } };
const at = { interruptions: 0, losses: 0 };

function bus() {
  return new MemoryBus({ server: new MemoryServer(realClock), clock: realClock, fsync: "always", log: silentLogger });
}

/** An event that comes again, by its sequence. */
function again(sequence: number, more: { readonly id?: string; readonly run?: string } = {}): Delivery {
  const { id = `event-${sequence}`, run } = more;
  const header = (name: string) => (name === "ce-id" ? id : undefined);
  return { sequence, run, again: true, remade: false, header } as unknown as Delivery;
}

const ended = (...deliveries: readonly Delivery[]) => deliveries.map((delivery) => ({ delivery, said: done }));

test("an event that ended together with others is told once more when it comes again before that was, and only acked behind it", async () => {
  await using on = bus();
  const settled = new SettledEvents(on.state, "mail", source);
  const first = settled.handledTogether(ended(again(7), again(5), again(6, { run: "r1" })));
  settled.handledTogether(ended(again(8)));
  expect([5, 7, 8].map((sequence) => settled.find(again(sequence), 0))).toEqual([done, done, done]);
  first.toldAt = at;
  expect([5, 7, 8].map((sequence) => settled.find(again(sequence), 0))).toEqual(["told", "told", done]);
  expect(settled.find(again(6, { run: "r1" }), 0)).toBe("told");
  expect(settled.lastTold(again(5))).toEqual({ outcome: "done", attempt: 1, at });
  // Behind a break of the connection what was told may be lost.
  expect(settled.find(again(5), 1)).toBe(done);
});

test("what has the number of an event that ended together with others, and is not it, is not settled", async () => {
  await using on = bus();
  const settled = new SettledEvents(on.state, "mail", source);
  settled.handledTogether(ended(again(5), again(7))).toldAt = at;
  expect(settled.find(again(6), 0)).toBeUndefined();
  expect(settled.find(again(5, { id: "another" }), 0)).toBeUndefined();
  expect(settled.find(again(5, { run: "r1" }), 0)).toBeUndefined();
  expect(settled.lastTold(again(5, { id: "another" }))).toBeUndefined();
});

test("of those that ended together the newest ten thousand are known, and put on record for the others", async () => {
  await using on = bus();
  const settled = new SettledEvents(on.state, "mail", source);
  for (let first = 1; first <= 12_000; first += 100) {
    settled.handledTogether(ended(...Array.from({ length: 100 }, (_, nth) => again(first + nth))));
  }
  expect(settled.find(again(2_000), 0)).toBeUndefined();
  expect([2_001, 12_000].map((sequence) => settled.find(again(sequence), 0))).toEqual([done, done]);
  await settled.share(11_998);
  const other = new SettledEvents(on.state, "mail", source);
  await other.learn();
  const remade = { remade: true };
  expect(other.find({ ...again(11_999), ...remade } as Delivery, 0)).toBe("told");
  expect(other.find({ ...again(11_998), ...remade } as Delivery, 0)).toBeUndefined();
});
