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

/** In the place of a source: what waits for a long retry, and replays. No configured source can have this name. */
export const retryId: SourceId = "_retry" as SourceId;

/** The stream of a source: `CDC_<SOURCE>`; `MILLRACE_EVENTS` and `MILLRACE_RETRY` are no source's. */
export function streamName(source: SourceId): string {
  if (source === systemId) return "MILLRACE_EVENTS";
  return source === retryId ? "MILLRACE_RETRY" : `CDC_${source.toUpperCase()}`;
}

/** The reverse of `streamName`; undefined for a name that is no such stream's. */
export function sourceOfStream(stream: string): SourceId | undefined {
  for (const shared of [systemId, retryId]) if (stream === streamName(shared)) return shared;
  const id = stream.startsWith("CDC_") ? stream.slice(4).toLowerCase() : "";
  return isSourceId(id) && streamName(id) === stream ? id : undefined;
}
