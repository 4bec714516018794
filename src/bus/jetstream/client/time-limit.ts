// A signal that also aborts after a time. (Inside AbortSignal.any Node 20 may collect AbortSignal.timeout before it fires.)

export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

/** Dispose of it to take its timer away. */
export function timeLimit(signal: AbortSignal, ms: number): TimeLimit {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), ms);
  return { signal: AbortSignal.any([signal, limit.signal]), [Symbol.dispose]: () => clearTimeout(timer) };
}
