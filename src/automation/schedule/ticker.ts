// Fires what is due of one automation. Every worker has a ticker, none leads: each goes on from the newest due time that the stream
// holds, and stores the next one only behind that very message. So due times stand in the stream in their order, each once.
//
// What holds at each step. Before `fire`: the stream's newest due time is the last one that was fired. Behind it: one worker has stored
// the next; all others are refused, and go on from it. Killed between, or the answer lost: whoever comes next reads which holds.
// The record in the state bucket is written behind the event: it counts only where the stream has forgotten its newest one.

import type { Bus } from "../../bus/bus.ts";
import { backoffMs, type Clock } from "../../clock.ts";
import type { MillraceError } from "../../errors.ts";
import { dueEvent } from "../../event/schedule-event.ts";
import type { AutomationMetrics } from "../../telemetry/automation-metrics.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { mayPass } from "../outcome/unavailable.ts";
import { ScheduleStore } from "./schedule-record.ts";
import { lastUpTo, type Schedule } from "./timetable.ts";

/** No sleep is longer: the wall clock may be set meanwhile. */
const LOOK_MS = 5000;
const PAUSED_MS = 1000;
/** What is due for longer was missed, even where the worker ran. */
const MISSED_MS = 60_000;
/** Another worker was quicker, and what it stored cannot be read yet. */
const AGAIN_MS = 50;
const away = { minMs: 100, maxMs: 2000 };

export interface TickerOptions {
  readonly automation: string;
  readonly schedule: Schedule;
  readonly bus: Pick<Bus, "fire" | "newest" | "state">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<AutomationMetrics, "fired">;
  /** Whether the automation may run; `unknown` while it is too long ago that it was looked. */
  readonly mayRun: () => "runs" | "paused" | "unknown";
  /** Hears of what the bus refuses, and of nothing once it does not any more. */
  readonly denied: (error: Error | undefined) => void;
  readonly signal: AbortSignal;
}

/** Where the stream stands; all times in ms since 1970. */
interface Standing {
  /** The time that was fired last, or before which none counts. */
  readonly cursor: number;
  /** What comes behind it; undefined where nothing does. */
  readonly next: number | undefined;
  /** Number of the newest message, 0 where there is none. */
  readonly sequence: number;
}

export class Ticker {
  readonly #options: TickerOptions;
  readonly #store: ScheduleStore;
  #standing: Standing | undefined;
  /** Since when this worker counts with this plan. */
  #since: number | undefined;
  /** Since when it could have fired what was due, by the wall clock. */
  #readySince: number | undefined;
  #saidAhead = false;

  constructor(options: TickerOptions) {
    this.#options = options;
    this.#store = new ScheduleStore(options.bus.state, options.automation);
  }

  /** When it is due next, in ms since 1970; undefined while that is not known, or it never is. */
  get next(): number | undefined {
    return this.#standing?.next;
  }

  /** Runs until the signal. @throws what is no outage: a bug, or a setting of the bus */
  async run(): Promise<void> {
    const { automation, clock, log, denied, signal } = this.#options;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#turn();
        denied(undefined);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!mayPass(error)) throw error;
        denied(error);
        // What was sent may be stored: the stream tells.
        this.#standing = undefined;
        if (failures++ === 0) {
          const { code, hint, message } = error as MillraceError;
          log.warn("schedule_away", { automation, code, hint }, message);
        }
        await clock.sleep(backoffMs(away, failures), signal);
      }
    }
  }

  async #turn(): Promise<void> {
    const { schedule, clock, mayRun, signal } = this.#options;
    const state = mayRun();
    // What comes due in a pause is missed, as if no worker ran.
    if (state === "paused") this.#readySince = undefined;
    if (state !== "runs") return clock.sleep(state === "paused" ? PAUSED_MS : AGAIN_MS, signal);
    const standing = this.#standing ?? (await this.#learn());
    this.#readySince ??= clock.wall();
    const now = clock.wall();
    const { next } = standing;
    if (next === undefined || next > now)
      return clock.sleep(Math.min(LOOK_MS, (next ?? Number.POSITIVE_INFINITY) - now), signal);
    const due = this.#choose(next, now);
    if (due === undefined) this.#stand(lastUpTo(schedule.timetable, next, now) ?? next, standing.sequence);
    else await this.#fire(due, standing);
  }

  /** Which of those that are due comes first; undefined when all of them are missed and none is made up. */
  #choose(next: number, now: number): number | undefined {
    const { timetable, catchUp } = this.#options.schedule;
    const onTime = Math.max(this.#readySince ?? now, now - MISSED_MS);
    if (catchUp === "all" || next >= onTime) return next;
    const first = timetable.next(onTime - 1);
    if (first !== undefined && first <= now) return first;
    return catchUp === "last" ? (lastUpTo(timetable, next, now) ?? next) : undefined;
  }

  async #fire(due: number, { sequence: after }: Standing): Promise<void> {
    const { automation, schedule, bus, clock, log, metrics, signal } = this.#options;
    const { plan } = schedule.timetable;
    const sequence = await bus.fire(dueEvent(automation, due, { schedule: plan }), after);
    if (sequence === undefined) {
      if ((await this.#learn()).sequence === after) await clock.sleep(AGAIN_MS, signal);
      return;
    }
    const { next } = this.#stand(due, sequence);
    const lateMs = Math.max(0, clock.wall() - due);
    metrics.fired(automation, lateMs);
    log.debug("schedule_fired", { automation, due: new Date(due).toISOString(), lateMs });
    // Of many that are made up the last one is enough.
    const own = { plan, since: this.#since ?? due };
    if (next === undefined || next > clock.wall()) await this.#store.fired(due, own);
  }

  #stand(cursor: number, sequence: number): Standing {
    this.#standing = { cursor, next: this.#options.schedule.timetable.next(cursor), sequence };
    return this.#standing;
  }

  /** Where the stream stands, never before where it was known to. */
  async #learn(): Promise<Standing> {
    const { automation, bus } = this.#options;
    const newest = await bus.newest("_schedule", automation);
    const fired = newest === undefined ? undefined : Date.parse(newest.time);
    const { due } = await this.#begin(fired);
    const times = [this.#since, fired, due, this.#standing?.cursor].filter((time) => time !== undefined);
    const standing = this.#stand(Math.max(...times), newest?.sequence ?? 0);
    this.#sayAhead(standing);
    return standing;
  }

  /** What is on record; at the ticker's first look it is brought up to date. A plan that is new begins now: no time of it is missed. */
  async #begin(fired: number | undefined): Promise<{ readonly due: number | undefined }> {
    const { plan } = this.#options.schedule.timetable;
    for (;;) {
      const { record, revision } = await this.#store.read();
      const due = record?.due;
      if (this.#since !== undefined) return { due };
      const known = record?.plan === plan ? record.since : undefined;
      // A record that was lost, while the stream has an event: it goes on from that.
      const since = known ?? (record === undefined ? fired : undefined) ?? this.#options.clock.wall();
      const newest = fired !== undefined && fired > (due ?? 0) ? fired : due;
      const isKnown = known !== undefined && newest === due;
      if (!isKnown && !(await this.#store.write({ plan, since, due: newest }, revision))) continue;
      this.#since = since;
      return { due: newest };
    }
  }

  /** A worker whose clock is ahead fires early, and all others wait until their clocks are there too. */
  #sayAhead({ cursor }: Standing): void {
    const { automation, clock, log } = this.#options;
    const aheadMs = cursor - clock.wall();
    if (aheadMs <= MISSED_MS || this.#saidAhead) return;
    this.#saidAhead = true;
    const hint = "compare the clocks of all machines with workers; docs/schedules.md says how to set a schedule back";
    log.warn("schedule_ahead", { automation, aheadMs, newest: new Date(cursor).toISOString(), hint });
  }
}
