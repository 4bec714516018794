// What a source's stream keeps, as the configuration states it.

/** Undefined parts are not stated: a new stream gets its defaults, and an existing one may have what it has. */
export interface Retention {
  /** Infinity: for ever. */
  readonly ageMs?: number | undefined;
  readonly bytes?: number | undefined;
  /** What goes when it is full: the oldest events, or nothing, so that the source waits. */
  readonly discard?: "old" | "new" | undefined;
}
