// Random interleavings of two workers on one durable, with retries, kills and lost batches of records, against a naive model:
// what the ranges of their records say of each event is what became of it, and nothing else.

import { expect, test } from "vitest";
import { EventLog } from "../../src/automation/deliver/event-log.ts";
import type { LogRecord } from "../../src/bus/bus.ts";
import { Lifetime } from "../../src/bus/jetstream/client/lifetime.ts";
import { MemoryDurable } from "../../src/bus/memory/memory-durable.ts";
import { MemoryStream } from "../../src/bus/memory/memory-stream.ts";
import { MemorySubscription } from "../../src/bus/memory/memory-subscription.ts";
import type { Delivery } from "../../src/bus/subscription.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const RUNS = 300;
const EVENTS = 60;
const OUTCOMES = ["done", "filtered", "skipped", "dead"] as const;

function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** One worker: what it has in hand, and its log. */
class ModelWorker {
  readonly hand: Delivery[] = [];
  readonly log: EventLog;
  readonly #iterator: AsyncIterator<readonly Delivery[]>;
  readonly #ending = new AbortController();
  #next: Promise<IteratorResult<readonly Delivery[]>> | undefined;

  constructor(
    durable: MemoryDurable,
    name: string,
    minPending: number,
    store: (records: readonly LogRecord[]) => void,
  ) {
    const life = new Lifetime();
    const { signal } = this.#ending;
    this.#iterator = new MemorySubscription(durable, { minPending, signal }, life)[Symbol.asyncIterator]();
    this.log = new EventLog({
      automation: "a",
      instance: name,
      wall: () => 0,
      store: async (records) => {
        store(records);
        return { interruptions: 0, losses: 0 };
      },
    });
  }

  /** What it had in hand comes again when its time is over. */
  kill(): void {
    this.#ending.abort();
  }

  /** Takes what there is room for. */
  async pull(): Promise<void> {
    this.#next ??= this.#iterator.next();
    const next = this.#next;
    void next.then(({ value = [] }) => {
      if (this.#next !== next) return;
      this.#next = undefined;
      this.hand.push(...value);
    });
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("what records say of each event is what became of it", { timeout: 60_000 }, async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  console.error(`seed ${seed}`);
  let bridged = 0;
  for (let run = 0; run < RUNS; run++) {
    const random = randomOf(seed + run);
    const clock = new VirtualClock();
    const stream = new MemoryStream(clock);
    const own = new Set<number>();
    for (let sequence = 1; sequence <= EVENTS; sequence++) {
      const mine = random() < 0.6;
      if (mine) own.add(sequence);
      stream.store(mine ? "x.own" : "x.other", "", Buffer.from("{}"));
    }
    const durable = new MemoryDurable("CDC_S", stream, clock, 1);
    durable.set({ filters: ["x.own"], ackWaitMs: 1000 });
    const records: LogRecord[] = [];
    const store = (some: readonly LogRecord[]): void => void records.push(...some);
    const start = (): ModelWorker => new ModelWorker(durable, "w", 1 + Math.floor(random() * 8), store);
    const workers = [start(), start()];
    const became = new Map<number, string>();
    for (let step = 0; became.size < own.size; step++) {
      expect(step, `seed ${seed + run}`).toBeLessThan(5000);
      const nth = Math.floor(random() * 2);
      if (random() < 0.03) {
        workers[nth]?.kill();
        workers[nth] = start();
      }
      const worker = workers[nth] as ModelWorker;
      if (random() < 0.5) await worker.pull();
      const burst = 1 + Math.floor(random() * 6);
      const told: Promise<unknown>[] = [];
      for (let n = 0; n < burst && worker.hand.length > 0; n++) {
        const [delivery] = worker.hand.splice(Math.floor(random() * worker.hand.length), 1) as [Delivery];
        const dice = random();
        // As a worker does: what is not surely its own it lets go, and tells nothing of it.
        if (dice < 0.1 || !delivery.ours) delivery.retry(0);
        else {
          const outcome = OUTCOMES[
            dice < 0.7 ? 0 : Math.floor(random() * OUTCOMES.length)
          ] as (typeof OUTCOMES)[number];
          const about = { stream: "S", delivery };
          told.push(
            (outcome === "done" || outcome === "filtered"
              ? worker.log.tellOne(outcome, about)
              : worker.log.tellAlone(outcome, about, {})
            ).then(() => delivery.ack()),
          );
          became.set(delivery.sequence, outcome);
        }
      }
      await Promise.all(told);
      if (random() < 0.1) clock.advance(1001);
    }

    const said = new Map<number, string[]>();
    for (const { subject, data } of records) {
      const outcome = subject.split(".")[2] ?? "";
      const { sequence, ranges = [[sequence, sequence]], count } = JSON.parse(Buffer.from(data).toString());
      let within = 0;
      for (const [first, last] of ranges as [number, number][]) {
        if (last - first > 0) bridged++;
        for (let at = first; at <= last; at++) {
          if (!own.has(at)) continue;
          within++;
          said.set(at, [...(said.get(at) ?? []), outcome]);
        }
      }
      expect(within, `seed ${seed + run}`).toBe(count ?? 1);
    }
    const wanted = new Map([...became].sort(([a], [b]) => a - b).map(([sequence, outcome]) => [sequence, [outcome]]));
    expect(new Map([...said].sort(([a], [b]) => a - b)), `seed ${seed + run}`).toEqual(wanted);
  }
  // Else it had said nothing of what a range passes over.
  expect(bridged).toBeGreaterThan(RUNS);
});
