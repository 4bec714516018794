// Triggers by the clock: `schedule("0 3 * * TUE", { tz: "Europe/Vienna" })`, `schedule("every 5m")`.

import type { StoredMessage } from "../../event/parse-event.ts";
import { type ScheduleEvent, schedulePrefix } from "../../event/schedule-event.ts";
import { systemId } from "../../event/source-id.ts";
import { parseSystemEvent } from "../../event/system-event.ts";
import { invalid, refuseUnknown } from "../outcome/invalid.ts";
import type { EventShape } from "../pattern/event-shape.ts";
import { type CatchUp, type Schedule, timetableOf } from "../schedule/timetable.ts";
import type { Trigger, TriggerSubscription, TriggerWarning } from "./trigger.ts";

export interface ScheduleOptions {
  /** The zone that a cron expression is read in, by its IANA name. Default `UTC`, wherever the worker runs. */
  readonly tz?: string;
  /**
   * What becomes of times that came while no worker ran, or while the automation was paused: `none` is made up, the `last` one,
   * or `all` of them. Default `last`.
   */
  readonly catchUp?: CatchUp;
}

const OPTIONS: Readonly<Record<keyof ScheduleOptions, true>> = { tz: true, catchUp: true };
const CATCH_UP: readonly unknown[] = ["none", "last", "all"] satisfies readonly CatchUp[];

/**
 * By the clock: a cron expression of five fields, or six with seconds first, in a time zone; or `every 5m`, at whole multiples
 * since 1970. Once for each time, however many workers run. The event's `time` is when it was due.
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function schedule(when: string, options: ScheduleOptions = {}): Trigger<ScheduleEvent> {
  const place = `schedule(${JSON.stringify(when)})`;
  refuseUnknown(options, OPTIONS, `${place}: `);
  const { tz, catchUp = "last" } = options;
  if (!CATCH_UP.includes(catchUp))
    throw invalid(`${place}: catchUp is neither "none", "last" nor "all"`, 'write one, or leave it out: "last"');
  return Object.freeze(new ScheduleTrigger({ timetable: timetableOf(when, tz, place), catchUp }, undefined));
}

class ScheduleTrigger implements Trigger<never> {
  readonly schedule: Schedule;
  /** Undefined until it is an automation's. */
  readonly #prefix: string | undefined;

  constructor(plan: Schedule, automation: string | undefined) {
    this.schedule = plan;
    this.#prefix = automation === undefined ? undefined : schedulePrefix(automation);
  }

  get shape(): EventShape {
    return { fields: ["id", "type", "time", "data", "sequence"] };
  }

  boundTo(automation: string): Trigger<never> {
    return Object.freeze(new ScheduleTrigger(this.schedule, automation));
  }

  subscriptions(): readonly TriggerSubscription[] {
    return this.#prefix === undefined ? [] : [{ source: systemId, filter: `${this.#prefix}*` }];
  }

  decode(message: StoredMessage): ScheduleEvent | undefined {
    const ours = this.#prefix !== undefined && message.subject.startsWith(this.#prefix);
    return ours ? (parseSystemEvent(message) as ScheduleEvent) : undefined;
  }

  match(): boolean {
    return true;
  }

  check(): readonly TriggerWarning[] {
    const { plan, next } = this.schedule.timetable;
    if (next(Date.now()) !== undefined) return [];
    const message = `its schedule never comes: no day is like ${JSON.stringify(plan)}`;
    return [{ code: "AUTOMATION_NEVER_DUE", message, fix: "Correct its day and month; 30 February is none." }];
  }
}
