// The name of a configured source; stream, slot, publication and bucket keys are made from it.

/** Matches `[a-z][a-z0-9_]{0,30}`, so that names made from it never collide. */
export type SourceId = string & { readonly __brand: "SourceId" };

const pattern = /^[a-z][a-z0-9_]{0,30}$/;

/** Whether a text may name a source. */
export function isSourceId(text: string): text is SourceId {
  return pattern.test(text);
}

/** In the place of a source: events of the worker itself. No configured source can have this name. */
export const systemId: SourceId = "_system" as SourceId;

/** The stream of a source: `CDC_<SOURCE>`; `MILLRACE_EVENTS` for events that come from no source's log. */
export function streamName(source: SourceId): string {
  return source === systemId ? "MILLRACE_EVENTS" : `CDC_${source.toUpperCase()}`;
}
