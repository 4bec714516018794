// The contract of small state on the bus: checkpoints, versions, what people asked for, what is settled.

/** Small state by key, written by revision. Keys: `[A-Za-z0-9_-]` tokens joined by dots. */
export interface StateStore {
  get(key: string): Promise<{ readonly value: unknown; readonly revision: number } | undefined>;
  /** @param revision of the value it replaces, 0 for a new key. Resolves to the new revision, or undefined when it did not match. */
  put(key: string, value: unknown, revision: number): Promise<number | undefined>;
  delete(key: string): Promise<void>;
  /** Keys that begin with the prefix, which ends with a dot; in no order. */
  keys(prefix: string): Promise<readonly string[]>;
}
