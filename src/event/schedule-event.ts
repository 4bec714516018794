// What comes by the clock: events on `events._schedule.<automation>.due`, one for each time that it was due.

import { canonicalJson, laneOf } from "./lane.ts";
import { domainSubjectPrefix } from "./subject.ts";
import type { SystemEvent } from "./system-event.ts";
import type { WorkerEvent } from "./worker-event.ts";

const NAME = "due";

/** What an automation was due by. */
export interface DueData {
  /** As it was written, a cron expression with its time zone: `0 3 * * TUE Europe/Vienna`, `every 5m`. */
  readonly schedule: string;
}

/** `time` is when it was due, whenever it was handled. */
export type ScheduleEvent = SystemEvent<DueData>;

/** `events._schedule.<automation>.due.` */
export function schedulePrefix(automation: string): string {
  return domainSubjectPrefix("_schedule", automation, NAME);
}

/** Always on one subject, so that its newest message is the automation's newest due time. @param dueMs ms since 1970 */
export function dueEvent(automation: string, dueMs: number, data: DueData): WorkerEvent {
  const time = new Date(dueMs).toISOString();
  return {
    origin: "_schedule",
    aggregate: automation,
    name: NAME,
    id: `schedule.${automation}.${time}`,
    subject: automation,
    lane: laneOf(Buffer.from(canonicalJson({ automation }))),
    time,
    data: Buffer.from(JSON.stringify(data)),
  };
}
