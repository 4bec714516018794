import type { Arrived, Verdict } from "../receiver.ts";

/** The events of a list; an empty one is what it says, and there is nothing to store. */
export function eventsOrNone(events: readonly Arrived[]): Verdict {
  if (events.length > 0) return { kind: "events", events };
  return { kind: "answer", status: 200, contentType: "application/json", body: '{"status":"accepted"}' };
}
