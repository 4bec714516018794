// The name of a configured source; stream, slot, publication and bucket keys are made from it.

/** Matches `[a-z][a-z0-9_]{0,30}`, so that names made from it never collide. */
export type SourceId = string & { readonly __brand: "SourceId" };

const pattern = /^[a-z][a-z0-9_]{0,30}$/;

/** Whether a text may name a source. */
export function isSourceId(text: string): text is SourceId {
  return pattern.test(text);
}

/** The stream of a source: `CDC_<SOURCE>`. */
export function streamName(source: SourceId): string {
  return `CDC_${source.toUpperCase()}`;
}
