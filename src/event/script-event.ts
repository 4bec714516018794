// The end of a script, as `millrace report` tells it: a typed event that every configuration knows.

import { postedEvent } from "./posted-event.ts";
import type { WorkerEvent } from "./worker-event.ts";

/** What `event("system.script.completed")` and `event("system.script.failed")` have as their data. */
export interface ScriptData {
  readonly name: string;
  /** Null when a signal ended it, or when it could not be started. */
  readonly exitCode: number | null;
  /** `SIGTERM` */
  readonly signal: string | null;
  /** Why it could not be started: `ENOENT`. */
  readonly error: string | null;
  /** RFC 3339 in UTC. */
  readonly startedAt: string;
  readonly durationMs: number;
}

/** What may be posted, and listened for, without standing under `events.types`. */
export const scriptTypes = ["system.script.completed", "system.script.failed"] as const;

/** What is taken for one when it is posted. */
export const scriptSchema = {
  type: "object",
  required: ["name", "exitCode"],
  properties: { name: { type: "string" }, exitCode: { type: ["integer", "null"] } },
} as const;

/** Failed is what did not end with exit code 0. */
export function scriptType({ exitCode }: ScriptData): (typeof scriptTypes)[number] {
  return exitCode === 0 ? "system.script.completed" : "system.script.failed";
}

/** @param id of this run @param time RFC 3339 in UTC */
export function scriptEvent(id: string, data: ScriptData, time: string): WorkerEvent {
  return postedEvent(scriptType(data), id, Buffer.from(JSON.stringify(data)), time);
}
