// The domain event that a rule emits: it stands where typed POSTs do, so that `event()` finds it.

import { createHash } from "node:crypto";
import type { AnyEvent } from "../automation/define/trigger.ts";
import { postedEvent } from "../event/posted-event.ts";
import type { WorkerEvent } from "../event/worker-event.ts";

/** What emits it, and for what. */
interface Emitting {
  readonly rule: string;
  readonly event: AnyEvent;
  /** The replay that it is part of: there it is meant to be emitted again. */
  readonly run: string | undefined;
}

/**
 * Its id is made of the rule's, the event's and the run's alone: stored again, by another attempt or another worker, it is the
 * same event. With a colon in it, it is no id that a POST can have.
 * @param type `<aggregate>.<name>`
 */
export function emittedEvent(
  type: string,
  { rule, event, run }: Emitting,
  { key, data }: { readonly key: string; readonly data: unknown },
): WorkerEvent {
  // A domain event's id is one only within its source and its type.
  const { id, source, type: of } = event as AnyEvent & { readonly source?: string; readonly type?: string };
  const hash = createHash("sha256")
    .update(JSON.stringify([source, of, id, run]))
    .digest("hex")
    .slice(0, 32);
  const made = postedEvent(type, "", Buffer.from(JSON.stringify(data)), new Date().toISOString(), key);
  return { ...made, id: `rule:${rule}:${hash}` };
}
