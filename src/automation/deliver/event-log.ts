// The event log of one automation: what became of each event, told to the bus before the event is acked. One publish is under
// way, and what is told meanwhile is the next. What is first looked for in the stream goes by itself: behind a crash that may be
// a look through thousands of records, and the outcomes of the others would not be on record for as long.

import type { LogRecord } from "../../bus/bus.ts";
import type { Delivery } from "../../bus/subscription.ts";
import { toError } from "../../errors.ts";
import type { ErrorSummary } from "../outcome/error-summary.ts";
import type { WouldBe } from "../outcome/shadow.ts";
import { rangesOf, type Settled } from "./ranges.ts";

/** What the event log says of an event, as the last token of a record's subject. */
export type Outcome = "done" | "skipped" | "filtered" | "retried" | "dead" | "shadow";
/** What led to the outcome. */
export interface Told {
  /** The attempt that ended so, from 1; 0 where none was started. */
  readonly attempt: number;
  /** Why: of a dead letter, or what the handler gave. */
  readonly reason?: string;
  readonly error?: ErrorSummary;
  /** When the next attempt begins. */
  readonly delayMs?: number;
  /** Of `shadow`. */
  readonly wouldBe?: WouldBe;
  /** Where it may have been told before a crash: since when, ms since 1970. */
  readonly since?: number | undefined;
}

/** By when something was told: before the next interruption of the bus, and after so many losses of its log. */
export interface ToldAt {
  readonly interruptions: number;
  readonly losses: number;
}
/** The newest that was told of an event. */
export interface LastTold {
  readonly outcome: Outcome;
  readonly attempt: number;
  readonly at: ToldAt;
}

/** Of these a record tells of many events. */
type ManyOutcome = "done" | "filtered";

/** So much is told in one publish, which keeps a record far from the largest message that a bus takes. */
const maxBytes = 128 * 1024;
/** Of the two numbers of a range, as text. */
const rangeBytes = 24;

/** The events of one outcome on one stream, and in one run of it. */
interface Many {
  readonly outcome: ManyOutcome;
  readonly stream: string;
  readonly run: string | undefined;
  readonly settled: Settled[];
}

/** What goes in one publish. */
class Batch {
  readonly told: Promise<ToldAt>;
  readonly many = new Map<string, Many>();
  readonly single: LogRecord[] = [];
  /** Of the many, those that were told of last. */
  newest: Many | undefined;
  bytes = 0;
  resolve: (at: ToldAt) => void = () => {};
  reject: (error: Error) => void = () => {};

  constructor() {
    this.told = new Promise((resolve, reject) => {
      [this.resolve, this.reject] = [resolve, reject];
    });
  }

  manyOf(outcome: ManyOutcome, stream: string, run: string | undefined): Many {
    const key = `${outcome} ${stream} ${run ?? ""}`;
    const many = this.many.get(key) ?? { outcome, stream, run, settled: [] };
    this.many.set(key, many);
    this.newest = many;
    return many;
  }
}

export interface EventLogOptions {
  readonly automation: string;
  /** Names the worker in its records. */
  readonly instance: string;
  readonly wall: () => number;
  /** Resolves once all are stored; what it throws, whoever told gets. */
  readonly store: (records: readonly LogRecord[]) => Promise<ToldAt>;
}

/** Of which event an outcome is told. */
export interface About {
  /** Name of the stream that it stands in. */
  readonly stream: string;
  /** The replay that it is part of. */
  readonly run?: string | undefined;
  readonly delivery: Pick<Delivery, "sequence" | "follows">;
}

export class EventLog {
  readonly #options: EventLogOptions;
  /** The first of them goes next; only the last one takes more. */
  readonly #batches: Batch[] = [];
  #publishing = false;

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  /** Resolves once it is stored that the event came to this end, as `store` does: with the others of its kind, in one record. */
  tellOne(outcome: ManyOutcome, { stream, run, delivery }: About): Promise<ToldAt> {
    const batch = this.#collecting();
    // The next one is of the same kind as a rule.
    const { newest } = batch;
    const isAlike = newest?.outcome === outcome && newest.stream === stream && newest.run === run;
    const many = isAlike ? newest : batch.manyOf(outcome, stream, run);
    many.settled.push(delivery);
    batch.bytes += rangeBytes;
    return batch.told;
  }

  /**
   * Resolves once the record of a single event is stored.
   * @param record what it says beside stream and sequence
   * @param once the id of the record, and since when it may stand, where another worker may have told the same
   */
  tellAlone(
    outcome: Outcome,
    { stream, run, delivery }: About,
    record: Readonly<Record<string, unknown>>,
    once: Pick<LogRecord, "id" | "since"> = {},
  ): Promise<ToldAt> {
    const one = this.#record(outcome, { stream, sequence: delivery.sequence, ...(run && { run }), ...record });
    if (once.since !== undefined) return this.#options.store([{ ...one, ...once }]);
    const batch = this.#collecting();
    batch.single.push({ ...one, ...once });
    batch.bytes += one.data.length;
    return batch.told;
  }

  #collecting(): Batch {
    let batch = this.#batches.at(-1);
    if (batch === undefined || batch.bytes >= maxBytes) {
      batch = new Batch();
      this.#batches.push(batch);
      // What is told in the same turn goes along.
      if (!this.#publishing) queueMicrotask(() => void this.#publish());
      this.#publishing = true;
    }
    return batch;
  }

  async #publish(): Promise<void> {
    for (let batch = this.#batches.shift(); batch !== undefined; batch = this.#batches.shift()) {
      try {
        batch.resolve(await this.#options.store(this.#recordsOf(batch)));
      } catch (error) {
        batch.reject(toError(error));
      }
    }
    this.#publishing = false;
  }

  #recordsOf({ many, single }: Batch): readonly LogRecord[] {
    const ranges = [...many.values()].map(({ outcome, stream, run, settled }) =>
      this.#record(outcome, { stream, ...(run && { run }), count: settled.length, ranges: rangesOf(settled) }),
    );
    return [...ranges, ...single];
  }

  #record(outcome: Outcome, body: Readonly<Record<string, unknown>>): LogRecord {
    const { automation, instance, wall } = this.#options;
    const text = JSON.stringify({ ...body, time: new Date(wall()).toISOString(), worker: instance });
    return { subject: `log.${automation}.${outcome}`, data: Buffer.from(text) };
  }
}
