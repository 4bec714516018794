// Two workers with one automation on a bus in memory, in virtual time: events that come, workers that are killed, stopped and
// started, pauses, seeks, replays and answers that are lost, at random. What came of it is judged by what `delivery-verdict.ts` says.

import { automation, type Handler } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import type { Skip } from "../../../src/automation/outcome/outcome.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import { headersOf } from "../../../src/bus/memory/memory-stream.ts";
import { type Control, controlKey, seekRun } from "../../../src/event/control.ts";
import type { Position } from "../../../src/event/position.ts";
import { retryId, type SourceId, streamName } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts } from "../automations.ts";
import { messageMaker, ordersCreated } from "../bus/encoded.ts";
import { Random } from "../bus/scripted-bus.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { fateOf, POLICY } from "./delivery-fate.ts";
import { type Run, type Span, verdict } from "./delivery-verdict.ts";
import { type SlowBus, slowBus } from "./slow-bus.ts";

const shop = "shop" as SourceId;
const stream = streamName(shop);
const on = collection<{ id: number }>("shop", "public.orders").created();
const id = "mail";

interface Worker {
  readonly slow: SlowBus;
  readonly stopping: AbortController;
  /** Of its process: from `killed` on nothing that it does counts. */
  killedAt: number;
}

/** Undefined where all was as it must be; else the first thing that was not, in words. */
export async function runDeliverySchedule(seed: number, steps = 40): Promise<string | undefined> {
  const real = Math.random;
  const random = new Random(seed);
  const jitter = new Random(seed + 1);
  Math.random = () => jitter.next(); // of backoff
  try {
    return await new Schedule(random).play(steps);
  } finally {
    Math.random = real;
  }
}

class Schedule {
  readonly #random: Random;
  readonly #clock = new VirtualClock(Date.UTC(2026, 0, 1));
  readonly #server = new MemoryServer(this.#clock);
  readonly #make = messageMaker(shop);
  readonly #workers: (Worker | undefined)[] = [undefined, undefined];
  readonly #all: Worker[] = [];
  readonly #runs: Run[] = [];
  readonly #pauses: Span[] = [];
  /** Sequences that a replay has, by its run. */
  readonly #replays = new Map<string, readonly number[]>();
  #stored = 0;
  #control: Control | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  async play(steps: number): Promise<string | undefined> {
    this.#store(3);
    for (const nth of [0, 1]) this.#start(nth);
    for (let step = 0; step < steps; step++) {
      await this.#clock.pass(this.#random.below(this.#random.chance(0.2) ? 15_000 : 2000));
      await this.#act();
    }
    await this.#resume();
    for (const nth of [0, 1]) this.#start(nth);
    for (let minutes = 0; minutes < 9 && (await this.#judge()) !== undefined; minutes++) await this.#clock.pass(60_000);
    await this.#clock.pass(60_000);
    const wrong = await this.#judge();
    for (const { stopping } of this.#all) stopping.abort();
    await this.#clock.pass(10_000);
    return wrong;
  }

  async #act(): Promise<void> {
    const draw = this.#random.below(100);
    const nth = this.#random.below(2);
    if (draw < 30) this.#store(1 + this.#random.below(5));
    else if (draw < 50) await this.#kill(nth);
    else if (draw < 56) await this.#stop(nth);
    else if (draw < 76) this.#start(nth);
    else if (draw < 81) await this.#pause();
    else if (draw < 91) await this.#resume();
    else if (draw < 94) await this.#seek();
    else this.#replay();
  }

  #store(count: number): void {
    for (let nth = 0; nth < count; nth++) {
      const position = `000${++this.#stored}+` as Position;
      const data = Buffer.from(JSON.stringify({ op: "created", key: {}, before: null, after: { id: this.#stored } }));
      const key = `${this.#stored}`;
      const { subject, head } = this.#make({ kind: ordersCreated, key, transaction: key, position, data });
      this.#server.make(stream).store(subject, `${head}Cdc-Pos: ${position}\r\n`, data);
    }
  }

  #start(nth: number): void {
    if (this.#workers[nth] !== undefined) return;
    const slow = slowBus(this.#server, this.#clock, this.#random);
    const worker: Worker = { slow, stopping: new AbortController(), killedAt: Number.POSITIVE_INFINITY };
    const handler: Handler = (context) => this.#handle(worker, context);
    const options = { on, start: "earliest" as const, timeout: POLICY.timeoutMs, concurrency: 4, retry: POLICY.retry };
    runAutomations({
      ...{ bus: slow.bus, clock: this.#clock, log: silentLogger, logEvents: false, logErrors: "message" as const },
      automations: [automation(id, options, handler)],
      ackWaitMs: 10_000,
      metrics: new Counts(),
      signal: worker.stopping.signal,
    });
    this.#workers[nth] = worker;
    this.#all.push(worker);
  }

  async #handle(worker: Worker, { event, run, attempt, ...ends }: Parameters<Handler>[0]): Promise<undefined | Skip> {
    const { sequence } = event;
    const fate = fateOf(sequence, attempt);
    const clock = this.#clock;
    const one: Run = { sequence, run, attempt, worker: worker.slow.bus.instance, began: clock.now(), ended: undefined };
    if (clock.now() <= worker.killedAt) this.#runs.push(one);
    if (fate.tookMs > 0) await clock.sleep(fate.tookMs);
    if (clock.now() <= worker.killedAt) one.ended = clock.now();
    if (fate.does === "throws") throw new Error("not this time");
    if (fate.does === "retries") throw ends.retry({ after: fate.afterMs });
    if (fate.does === "gives up") throw ends.fatal("never");
    return fate.does === "skips" ? ends.skip("as it was asked to") : undefined;
  }

  async #kill(nth: number): Promise<void> {
    const worker = this.#workers[nth];
    if (worker === undefined) return;
    worker.killedAt = this.#clock.now();
    this.#workers[nth] = undefined;
    await worker.slow.kill();
    worker.stopping.abort();
  }

  async #stop(nth: number): Promise<void> {
    const worker = this.#workers[nth];
    if (worker === undefined) return;
    this.#workers[nth] = undefined;
    worker.stopping.abort();
  }

  async #change(change: (known: Control) => Control): Promise<void> {
    const entry = await this.#server.state.get(controlKey(id));
    const known = (entry?.value as Control | undefined) ?? { n: 0 };
    this.#control = { ...change(known), n: known.n + 1 };
    await this.#server.state.put(controlKey(id), this.#control, entry?.revision ?? 0);
  }

  async #pause(): Promise<void> {
    if (this.#control?.paused !== undefined) return;
    await this.#change((known) => ({ ...known, paused: { by: "a test", at: this.#now() } }));
    this.#pauses.push({ from: this.#clock.now(), to: Number.POSITIVE_INFINITY });
  }

  async #resume(): Promise<void> {
    const open = this.#pauses.at(-1);
    if (this.#control?.paused === undefined || open === undefined) return;
    await this.#change(({ paused, ...known }) => known);
    this.#pauses[this.#pauses.length - 1] = { from: open.from, to: this.#clock.now() };
  }

  async #seek(): Promise<void> {
    const from = 1 + this.#random.below(this.#stored);
    await this.#change((known) => ({
      ...known,
      seek: {
        n: (known.seek?.n ?? 0) + 1,
        to: String(from),
        by: "a test",
        at: this.#now(),
        starts: { [stream]: from },
      },
    }));
  }

  /** Some events once more, stored by whoever asks for it. */
  #replay(): void {
    const run = `again-${this.#replays.size}`;
    const first = 1 + this.#random.below(this.#stored);
    const sequences = [first, first + 1, first + 2].filter((sequence) => sequence <= this.#stored);
    this.#replays.set(run, sequences);
    const { bus } = slowBus(this.#server, this.#clock, new Random(0));
    for (const sequence of sequences) {
      const message = this.#server.make(stream).at(sequence);
      if (message === undefined) continue;
      const { subject, data } = message;
      const event = { automation: id, stream, sequence, subject, headers: headersOf(message), data, run };
      void bus.later({ ...event, attempts: 0, dueAt: this.#clock.wall() }).catch(() => this.#replays.delete(run));
    }
  }

  #now(): string {
    return new Date(this.#clock.wall()).toISOString();
  }

  async #judge(): Promise<string | undefined> {
    const text = (name: string) =>
      (this.#server.streams.get(name)?.messages ?? []).map(({ subject, data }) => ({
        subject,
        body: JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>,
      }));
    const { seek } = this.#control ?? {};
    const due = new Map<string | undefined, readonly number[]>(this.#replays);
    const from = seek?.starts[stream] ?? 1;
    due.set(
      seekRun(seek),
      Array.from({ length: this.#stored - from + 1 }, (_, nth) => from + nth),
    );
    const over = this.#all.map(({ slow, killedAt }) => ({
      worker: slow.bus.instance,
      breaks: slow.breaks,
      killedAt,
    }));
    const waiting = this.#server.make(streamName(retryId)).messages.length;
    if (waiting > 0) return `${waiting} messages are left in MILLRACE_RETRY`;
    const wrong = verdict({
      due,
      runs: this.#runs,
      pauses: this.#pauses,
      over,
      records: text("MILLRACE_LOG"),
      letters: text("MILLRACE_DEAD").map(({ body }) => body),
    });
    if (wrong !== undefined) return wrong;
    const left = await this.#server.state.keys("attempts.");
    if (left.length > 0) return `it remembers ${left.join()}`;
    return undefined;
  }
}
