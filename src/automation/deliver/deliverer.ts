// Runs one automation's handlers: so many at once, each event to its end (ack, retry, dead letter), and a graceful stop.

import { setMaxListeners } from "node:events";
import type { Delivery } from "../../bus/subscription.ts";
import { WakeUp, within } from "../../clock.ts";
import type { MillraceError } from "../../errors.ts";
import { isAhead, isOver } from "../../event/control.ts";
import { retryId, type SourceId, sourceOfStream } from "../../event/source-id.ts";
import { mayPass, unreachable } from "../outcome/unavailable.ts";
import { isWaiting } from "../outcome/waiting.ts";
import { SILENT_MS } from "../tx/tx.ts";
import { beginAtOnce, type Started } from "./at-once.ts";
import type { AutomationParts } from "./automation-parts.ts";
import { ColumnTypes } from "./column-types.ts";
import { DeadNews } from "./dead-news.ts";
import { Deadlines } from "./deadlines.ts";
import { EndTogether } from "./end-together.ts";
import { EventLog, type ToldAt } from "./event-log.ts";
import { InHand } from "./in-hand.ts";
import { type Block, type Follower, type Job, type SettleContext, type Stint, taken } from "./job.ts";
import { ackAgain, putBack } from "./let-go.ts";
import { OnRecord } from "./on-record.ts";
import { Patience } from "./patience.ts";
import { settle } from "./settle.ts";
import { SettledEvents } from "./settled-events.ts";
import { record, tell } from "./tell.ts";

/** What acks, retries and dead letters get at a stop, once no handler runs within its time any more. */
const settleMs = 5_000;
/** A wall clock that was wrong is noticed by then. */
const longestNapMs = 60 * 60_000;
const besideMs = 1000;
/** For so long handlers are begun one behind the other before the event loop turns: each may take its time before it first waits. */
const longestTurnMs = 10;

export interface DelivererOptions extends AutomationParts {
  /** Something that no later try can mend: the automation must stop. */
  readonly failed: (error: unknown) => void;
  /** Whether a handler may begin, by what is known of a pause; `wake` it when that may have changed. @param now by the steady clock */
  readonly fresh: (now: number) => boolean;
  /** The bus refuses what has to be stored, or does so no more. */
  readonly denied: (error: MillraceError | undefined) => void;
  /** Whether the key of an event stands still instead of its becoming a dead letter. */
  readonly blockKey?: (delivery: Delivery, why: Block) => boolean;
}

export class Deliverer {
  readonly #options: DelivererOptions;
  readonly #context: SettleContext;
  readonly #inHand = new InHand();
  readonly #waiting: Job[] = [];
  readonly #closing = new AbortController();
  readonly #settled = new Map<SourceId, SettledEvents>();
  readonly #onRecord: OnRecord;
  readonly #patience: Patience;
  readonly #together: EndTogether;
  #slots: number;
  readonly #changed = new WakeUp();
  #beginning = false;
  /** When the first handler of this turn of the event loop was begun. */
  #turnSince: number | undefined;

  constructor(options: DelivererOptions) {
    this.#options = options;
    setMaxListeners(0, options.signal, this.#closing.signal); // whatever waits for its time listens to one of them
    const { automation, bus, clock } = options;
    this.#patience = new Patience({ ...options, automation: automation.id, signal: this.#closing.signal });
    const persist = <R>(operation: () => Promise<R>): Promise<R> => this.persist(operation);
    const eventLog = new EventLog({
      automation: automation.id,
      instance: bus.instance,
      wall: () => clock.wall(),
      store: (records) =>
        persist(async () => {
          const interruptions = bus.interruptions();
          const losses = await bus.record(records);
          return { interruptions, losses }; // an interruption that came meanwhile would have been thrown
        }),
    });
    const telling = { automation: automation.id, log: eventLog, bus, persist };
    const news = new DeadNews({
      ...{ automation, bus, clock, signal: this.#closing.signal },
      failed: (error) => options.log.debug("automation_dead_untold", { automation: automation.id }, String(error)),
    });
    this.#onRecord = new OnRecord(bus, automation.id, persist);
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
      record: (job, outcome, told) => record(telling, job, outcome, told),
      persist,
      ...(options.blockKey && { block: ({ delivery }, why) => options.blockKey?.(delivery, why) ?? false }),
    };
    this.#together = new EndTogether({
      context: this.#context,
      handled: (jobs) => this.#handled(jobs),
      over: (job, error) => this.#over(job, error),
    });
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
    const hanging = this.#inHand.in("hanging");
    const running = this.#inHand.in("running");
    const now = this.#options.clock.now();
    let [earliestRun, earliestSettled] = [now, now];
    for (const { runningSince, settlingSince } of this.#inHand) {
      earliestRun = Math.min(earliestRun, runningSince ?? now);
      earliestSettled = Math.min(earliestSettled, settlingSince ?? now);
    }
    const [runningMs, settlingMs] = [now - earliestRun, now - earliestSettled];
    return { running: running + hanging, hanging, runningMs, held: this.#inHand.size, settlingMs };
  }

  /** What the events in hand wait for, where that is no fault of theirs. */
  away(): Error | undefined {
    for (const { away } of this.#inHand) if (away && !isWaiting(away)) return away;
    const { database } = this.#options;
    if (database === undefined || this.#running === 0) return undefined;
    const silentMs = database.silence.ms();
    return silentMs > SILENT_MS ? unreachable(`it has not answered for ${Math.round(silentMs / 1000)} s`) : undefined;
  }

  /** What events in hand wait for on purpose, in words. */
  waitsFor(): string | undefined {
    for (const { away } of this.#inHand) if (isWaiting(away) && away.why !== undefined) return away.why;
    return undefined;
  }

  /** Learns of which events something is on record, before the first of them is taken over. @throws MillraceError */
  lookOnRecord(): Promise<void> {
    return this.#onRecord.look();
  }

  /**
   * Takes an event over; never waits and never throws.
   * @param from what was subscribed to, `retryId` for MILLRACE_RETRY
   * @param follower of one that waits for its end
   */
  take(from: SourceId, delivery: Delivery, stint: Stint, follower?: Follower): void {
    const { carried, stream } = delivery;
    if (carried !== undefined && isOver(delivery.run, stint.seek)) {
      ackAgain(delivery, follower);
      return;
    }
    if (carried !== undefined && isAhead(delivery.run, stint.seek)) {
      putBack(delivery, besideMs, follower); // that seek is heard of with the next look
      return;
    }
    const earlyMs = carried === undefined ? 0 : carried.dueAt - this.#options.clock.wall();
    if (earlyMs > 0) {
      // Nothing is held for it, here or of what the server may hand out: it lies on the bus.
      putBack(delivery, Math.min(earlyMs, longestNapMs), follower);
      return;
    }
    const source = from === retryId ? (sourceOfStream(stream) ?? from) : from; // where the event stands
    const has = this.#inHand.find(delivery);
    const said = this.settledOf(source).find(delivery, this.#options.bus.interruptions());
    if (has?.givenBack) {
      putBack(delivery, 0, follower); // that one is not over yet, in this turn, and will not see to it
    } else if (has && has.delivery.carried?.at !== carried?.at) {
      putBack(delivery, besideMs, follower); // the same event by another message: never twice at once
    } else if (has && has.delivery.header("ce-id") !== delivery.header("ce-id")) {
      putBack(delivery, besideMs, follower); // that one's number is this one's, since the bus was set back: until it has ended
    } else if (has) {
      // Of an older subscription: never twice at once, and its outcome is this one's.
      delivery.succeed(has.delivery);
      follower?.ended();
    } else if (said === "told") {
      ackAgain(delivery, follower);
    } else if (stint.signal.aborted) {
      putBack(delivery, 0, follower);
    } else {
      const lastTold = this.settledOf(source).lastTold(delivery);
      const job = taken({ stint, source, delivery, said, lastTold, follower });
      this.#inHand.add(job);
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
    this.#inHand.delete(job);
    job.follower?.ended();
  }

  /**
   * After the signal: gives back what was not started, and waits for handlers (up to their timeout), then for their acks and
   * for those that go on beyond it: the end of the process would cut them off.
   */
  async drain(): Promise<void> {
    for (const job of this.#waiting.splice(0)) this.#return(job);
    const none = (...states: readonly Job["state"][]): boolean => states.every((state) => this.#inHand.in(state) === 0);
    await this.#until(() => none("running", "away"));
    const allSettled = this.#until(() => none("settling", "hanging"));
    await within(this.#options.clock, settleMs, allSettled);
    this.#closing.abort();
  }

  /** So that what is in hand is not handed out to others. */
  async #keepAlive(): Promise<void> {
    const { clock, ackWaitMs } = this.#options;
    for (;;) {
      await clock.sleep(ackWaitMs / 3, this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      for (const { delivery } of this.#inHand) delivery.working();
    }
  }

  get #running(): number {
    return this.#inHand.in("running") + this.#inHand.in("hanging");
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.wait();
  }

  /** Begins what there is room for; a place that is free again meanwhile is seen here. */
  #start(): void {
    if (this.#beginning) return;
    this.#beginning = true;
    try {
      while (this.#slots > 0 && this.#waiting.length > 0) {
        const now = this.#options.clock.now();
        if (!this.#hasTime(now) || this.#options.signal.aborted || !this.#options.fresh(now)) break;
        const job = this.#next();
        if (job === undefined) break;
        this.#slots--;
        job.holdsSlot = true;
        job.settlingSince = now;
        this.#begin(job);
      }
    } finally {
      this.#beginning = false;
    }
  }

  /** Of stints that are over nothing begins. */
  #next(): Job | undefined {
    if (this.#waiting[0]?.stint.signal.aborted === false) return this.#waiting.shift();
    const at = this.#waiting.findIndex(({ stint }) => !stint.signal.aborted);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }

  /** Whether the event loop need not turn yet; once it has, what waits is begun. */
  #hasTime(now: number): boolean {
    if (this.#turnSince === undefined) {
      this.#turnSince = now;
      setImmediate(() => {
        this.#turnSince = undefined;
        this.#start();
      });
    }
    return now - this.#turnSince < longestTurnMs;
  }

  #begin(job: Job): void {
    try {
      const begun = beginAtOnce(job, this.#context);
      if (begun !== "ended") {
        void this.#work(job, begun);
        return;
      }
      this.#release(job);
      this.#together.add(job);
    } catch (error) {
      this.#over(job, error);
    }
  }

  async #work(job: Job, started: Started | undefined): Promise<void> {
    try {
      if (await settle(job, this.#context, started)) this.#together.add(job);
      else this.#over(job);
    } catch (error) {
      this.#over(job, error);
    }
  }

  /** Nothing more is done for it here. */
  #over(job: Job, error?: unknown): void {
    // Transient: the durable or the connection is gone, or we are closing; the event is handed out again.
    if (error !== undefined && !mayPass(error)) this.#options.failed(error);
    this.#inHand.delete(job);
    this.#release(job);
    this.#changed.set();
    job.follower?.ended();
  }

  /** Notes that the handlers of these have ended; what is returned, that it is told. */
  #handled(jobs: readonly Job[]): (at: ToldAt) => void {
    const bySource = new Map<SourceId, Job[]>();
    for (const job of jobs) {
      const found = bySource.get(job.source);
      if (found) found.push(job);
      else bySource.set(job.source, [job]);
    }
    const notes = [...bySource].map(([source, ended]) => this.settledOf(source).handledTogether(ended));
    return (at) => {
      for (const note of notes) note.toldAt = at;
    };
  }

  #release(job: Job): void {
    if (!job.holdsSlot) return;
    job.holdsSlot = false;
    this.#slots++;
    this.#start();
    job.follower?.freed();
  }

  #entered(job: Job, state: Job["state"]): void {
    // A handler that hung on beyond the end of its job.
    if (!this.#inHand.has(job)) return;
    this.#inHand.move(job, state);
    job.runningSince = state === "running" ? this.#options.clock.now() : undefined;
    job.settlingSince = state === "settling" ? this.#options.clock.now() : undefined;
    this.#options.metrics.running(this.#options.automation.id, this.#running);
    this.#changed.set();
  }

  async #wait(job: Job, away: Error, delayMs: number): Promise<void> {
    job.away = away;
    this.#entered(job, "away");
    if (!isWaiting(away)) this.#patience.say(away);
    await this.#options.clock.sleep(delayMs, job.stint.signal);
  }

  /** Repeats an operation on the bus while the bus is away. */
  persist<Result>(operation: () => Promise<Result>): Promise<Result> {
    return this.#patience.persist(operation);
  }
}
