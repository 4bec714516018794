// Runs one automation's handlers: so many at once, each event to its end (ack, retry, dead letter), and a graceful stop.

import { setMaxListeners } from "node:events";
import type { Delivery } from "../../bus/bus.ts";
import { WakeUp, within } from "../../clock.ts";
import type { MillraceError } from "../../errors.ts";
import { isOver } from "../../event/control.ts";
import { type SourceId, sourceOfStream } from "../../event/source-id.ts";
import { isDenied, mayPass, unreachable } from "../outcome/unavailable.ts";
import { isWaiting } from "../outcome/waiting.ts";
import { SILENT_MS } from "../tx/tx.ts";
import type { AutomationParts } from "./automation-parts.ts";
import { ColumnTypes } from "./column-types.ts";
import { DeadNews } from "./dead-news.ts";
import { Deadlines } from "./deadlines.ts";
import { EventLog } from "./event-log.ts";
import type { Block, Job, SettleContext, Stint } from "./job.ts";
import { OnRecord } from "./on-record.ts";
import { settle } from "./settle.ts";
import { SettledEvents } from "./settled-events.ts";
import { tell } from "./tell.ts";

/** What acks, retries and dead letters get at a stop, once no handler runs within its time any more. */
const settleMs = 5_000;
const againMs = 500;
/** A wall clock that was wrong is noticed by then. */
const longestNapMs = 60 * 60_000;
const besideMs = 1000;
/** How often it is said that something cannot be stored. */
const sayEveryMs = 30_000;

export interface DelivererOptions extends AutomationParts {
  /** Something that no later try can mend: the automation must stop. */
  readonly failed: (error: unknown) => void;
  /** Whether a handler may begin, by what is known of a pause; `wake` it when that may have changed. */
  readonly fresh: () => boolean;
  /** The bus refuses what has to be stored, or does so no more. */
  readonly denied: (error: MillraceError | undefined) => void;
  /** Whether the key of an event stands still instead of its becoming a dead letter. */
  readonly blockKey?: (delivery: Delivery, why: Block) => boolean;
}

export class Deliverer {
  readonly #options: DelivererOptions;
  readonly #context: SettleContext;
  readonly #jobs = new Map<string, Job>();
  readonly #waiting: Job[] = [];
  readonly #closing = new AbortController();
  /** Jobs by their state. */
  readonly #in: Record<Job["state"], number> = { running: 0, hanging: 0, away: 0, settling: 0 };
  readonly #settled = new Map<SourceId, SettledEvents>();
  readonly #onRecord: OnRecord;
  #slots: number;
  readonly #changed = new WakeUp();
  #saidAt: number = Number.NEGATIVE_INFINITY;

  constructor(options: DelivererOptions) {
    this.#options = options;
    setMaxListeners(0, options.signal, this.#closing.signal); // whatever waits for its time listens to one of them
    const { automation, bus, clock } = options;
    const eventLog = new EventLog({
      automation: automation.id,
      instance: bus.instance,
      wall: () => clock.wall(),
      store: (records) =>
        this.persist(async () => {
          const interruptions = bus.interruptions();
          const losses = await bus.record(records);
          return { interruptions, losses }; // an interruption that came meanwhile would have been thrown
        }),
    });
    const persist = <R>(operation: () => Promise<R>): Promise<R> => this.persist(operation);
    const telling = { automation: automation.id, log: eventLog, bus, persist };
    const news = new DeadNews({
      ...{ automation, bus, clock, signal: this.#closing.signal },
      failed: (error) => options.log.debug("automation_dead_untold", { automation: automation.id }, String(error)),
    });
    this.#onRecord = new OnRecord(bus, automation.id, (operation) => this.persist(operation));
    this.#context = {
      ...options,
      onRecord: (delivery) => this.#onRecord.has(delivery),
      deadlines: new Deadlines(options.automation.timeoutMs, options.clock, this.#closing.signal),
      columnTypes: new ColumnTypes(options.bus),
      release: (job) => this.#release(job),
      handled: ({ source, delivery }, said) => this.settledOf(source).handled(delivery, said),
      told: ({ source, delivery, lastTold }) => this.settledOf(source).told(delivery, lastTold),
      buried: ({ source, delivery, lastTold }) => this.settledOf(source).buried(delivery, lastTold),
      died: (job, reason, error) => news.arrived(job, reason, error),
      entered: (job, state) => this.#entered(job, state),
      wait: (job, away, delayMs) => this.#wait(job, away, delayMs),
      tell: (job, outcome, told) => tell(telling, job, outcome, told),
      persist: (operation) => this.persist(operation),
      ...(options.blockKey && { block: ({ delivery }, why) => options.blockKey?.(delivery, why) ?? false }),
    };
    this.#slots = options.automation.concurrency;
    void this.#keepAlive();
  }

  /**
   * Handlers that run now, those among them that have ignored their timeout, for how long the oldest of the others has
   * run, events in hand altogether, and for how long the oldest of those is being settled.
   */
  counts(): {
    readonly running: number;
    readonly hanging: number;
    readonly runningMs: number;
    readonly held: number;
    readonly settlingMs: number;
  } {
    const { running, hanging } = this.#in;
    const now = this.#options.clock.now();
    let [earliestRun, earliestSettled] = [now, now];
    for (const { runningSince, settlingSince } of this.#jobs.values()) {
      earliestRun = Math.min(earliestRun, runningSince ?? now);
      earliestSettled = Math.min(earliestSettled, settlingSince ?? now);
    }
    const [runningMs, settlingMs] = [now - earliestRun, now - earliestSettled];
    return { running: running + hanging, hanging, runningMs, held: this.#jobs.size, settlingMs };
  }

  /** What the events in hand wait for, where that is no fault of theirs. */
  away(): Error | undefined {
    for (const { away } of this.#jobs.values()) if (away && !isWaiting(away)) return away;
    const { database } = this.#options;
    if (database === undefined || this.#in.running + this.#in.hanging === 0) return undefined;
    const silentMs = database.silence.ms();
    return silentMs > SILENT_MS ? unreachable(`it has not answered for ${Math.round(silentMs / 1000)} s`) : undefined;
  }

  /** What events in hand wait for on purpose, in words. */
  waitsFor(): string | undefined {
    for (const { away } of this.#jobs.values()) if (isWaiting(away) && away.why !== undefined) return away.why;
    return undefined;
  }

  /** Learns of which events something is on record, before the first of them is taken over. @throws MillraceError */
  lookOnRecord(): Promise<void> {
    return this.#onRecord.look();
  }

  /**
   * Takes an event over; never waits and never throws.
   * @param from what was subscribed to, `retryId` for MILLRACE_RETRY
   * @param ended called when nothing more is done for it here, whatever became of it
   */
  take(from: SourceId, delivery: Delivery, stint: Stint, ended?: () => void): void {
    const { carried, run = "", stream, sequence } = delivery;
    if (carried !== undefined && isOver(delivery.run, stint.seek)) {
      ackAgain(delivery, ended);
      return;
    }
    const earlyMs = carried === undefined ? 0 : carried.dueAt - this.#options.clock.wall();
    if (earlyMs > 0) {
      // Nothing is held for it, here or of what the server may hand out: it lies on the bus.
      putBack(delivery, Math.min(earlyMs, longestNapMs), ended);
      return;
    }
    // Where the event stands.
    const source = sourceOfStream(stream) ?? from;
    const key = `${run}/${stream}/${sequence}`;
    const has = this.#jobs.get(key);
    const said = this.settledOf(source).find(delivery, this.#options.bus.interruptions());
    if (has && has.delivery.carried?.at !== carried?.at) {
      putBack(delivery, besideMs, ended); // the same event by another message: never twice at once
    } else if (has && has.delivery.header("ce-id") !== delivery.header("ce-id")) {
      putBack(delivery, besideMs, ended); // that one's number is this one's, since the bus was set back: until it has ended
    } else if (has) {
      // Of an older subscription: never twice at once, and its outcome is this one's.
      delivery.succeed(has.delivery);
      ended?.();
    } else if (said === "told") {
      ackAgain(delivery, ended);
    } else if (stint.signal.aborted) {
      putBack(delivery, 0, ended);
    } else {
      const since = { runningSince: undefined, settlingSince: undefined, tookMs: undefined };
      const job: Job = {
        key,
        stint,
        source,
        delivery,
        said,
        state: "settling",
        away: undefined,
        ...since,
        lastTold: this.settledOf(source).lastTold(delivery),
        holdsSlot: false,
        ended,
      };
      this.#jobs.set(key, job);
      this.#in[job.state]++;
      this.#waiting.push(job);
      this.#start();
    }
  }

  settledOf(source: SourceId): SettledEvents {
    let settledEvents = this.#settled.get(source);
    if (settledEvents === undefined) {
      const { bus, automation } = this.#options;
      settledEvents = new SettledEvents(bus.state, automation.id, source);
      this.#settled.set(source, settledEvents);
    }
    return settledEvents;
  }

  /** Whether a handler may begin may have changed. */
  wake(): void {
    this.#start();
  }

  /** Gives back what was not begun, of a source that is no longer asked for more: else it would be handed out to us again. */
  giveBack(source: SourceId, stint: Stint): void {
    for (const job of this.#waiting.splice(0)) {
      if (job.source === source && job.stint === stint) this.#return(job);
      else this.#waiting.push(job);
    }
  }

  #return(job: Job): void {
    job.delivery.retry(0);
    this.#forget(job);
    job.ended?.();
  }

  /**
   * After the signal: gives back what was not started, and waits for handlers (up to their timeout), then for their acks and
   * for those that go on beyond it: the end of the process would cut them off.
   */
  async drain(): Promise<void> {
    for (const job of this.#waiting.splice(0)) this.#return(job);
    await this.#until(() => this.#in.running === 0 && this.#in.away === 0);
    const allSettled = this.#until(() => this.#in.settling === 0 && this.#in.hanging === 0);
    await within(this.#options.clock, settleMs, allSettled);
    this.#closing.abort();
  }

  /** So that what is in hand is not handed out to others. */
  async #keepAlive(): Promise<void> {
    const { clock, ackWaitMs } = this.#options;
    for (;;) {
      await clock.sleep(ackWaitMs / 3, this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      for (const { delivery } of this.#jobs.values()) delivery.working();
    }
  }

  #forget(job: Job): void {
    this.#jobs.delete(job.key);
    this.#in[job.state]--;
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.wait();
  }

  #start(): void {
    while (this.#slots > 0 && !this.#options.signal.aborted && this.#options.fresh()) {
      // Of stints that are over nothing begins.
      const at = this.#waiting.findIndex(({ stint }) => !stint.signal.aborted);
      const [job] = at < 0 ? [] : this.#waiting.splice(at, 1);
      if (!job) return;
      this.#slots--;
      job.holdsSlot = true;
      job.settlingSince = this.#options.clock.now();
      void this.#work(job);
    }
  }

  async #work(job: Job): Promise<void> {
    try {
      await settle(job, this.#context);
    } catch (error) {
      // Transient: the durable or the connection is gone, or we are closing; the event is handed out again.
      if (!mayPass(error)) this.#options.failed(error);
    } finally {
      this.#forget(job);
      this.#release(job);
      this.#changed.set();
      job.ended?.();
    }
  }

  #release(job: Job): void {
    if (!job.holdsSlot) return;
    job.holdsSlot = false;
    this.#slots++;
    this.#start();
  }

  #entered(job: Job, state: Job["state"]): void {
    // A handler that hung on beyond the end of its job.
    if (this.#jobs.get(job.key) !== job) return;
    this.#in[job.state]--;
    job.state = state;
    job.runningSince = state === "running" ? this.#options.clock.now() : undefined;
    job.settlingSince = state === "settling" ? this.#options.clock.now() : undefined;
    this.#in[state]++;
    this.#options.metrics.running(this.#options.automation.id, this.#in.running + this.#in.hanging);
    this.#changed.set();
  }

  async #wait(job: Job, away: Error, delayMs: number): Promise<void> {
    job.away = away;
    this.#entered(job, "away");
    if (!isWaiting(away)) this.#say(away);
    await this.#options.clock.sleep(delayMs, job.stint.signal);
  }

  #say(error: Error): void {
    if (this.#options.clock.now() - this.#saidAt < sayEveryMs) return;
    this.#saidAt = this.#options.clock.now();
    const { automation, log } = this.#options;
    const { code, hint } = error as { readonly code?: string; readonly hint?: string };
    log.warn("automation_failed", { automation: automation.id, code, hint }, error.message);
  }

  /** Repeats an operation on the bus while the bus is away. */
  async persist<Result>(operation: () => Promise<Result>): Promise<Result> {
    for (let denied = false; ; ) {
      try {
        const result = await operation();
        if (denied) this.#options.denied(undefined);
        return result;
      } catch (error) {
        if (!mayPass(error) || this.#closing.signal.aborted) throw error;
        denied = isDenied(error);
        this.#options.denied(denied ? error : undefined);
        this.#say(error);
        await this.#options.clock.sleep(againMs, this.#closing.signal);
      }
    }
  }
}

/** All that is left to do. Where the bus does not hear of it, the event comes once more. */
function ackAgain(delivery: Delivery, ended: (() => void) | undefined): void {
  void delivery
    .ack()
    .catch(() => {})
    .finally(ended);
}

function putBack(delivery: Delivery, delayMs: number, ended: (() => void) | undefined): void {
  delivery.retry(delayMs);
  ended?.();
}
