// What a handler does with an event at an attempt: by their numbers alone, so that everybody knows what has to become of it.

export const POLICY = { timeoutMs: 5000, retry: { attempts: 3, min: 300, max: 1000 } } as const;

export interface Fate {
  readonly does: "ends" | "throws" | "retries" | "gives up" | "skips";
  readonly tookMs: number;
  /** By the handler's own wish. */
  readonly afterMs: number;
}

/** What the event log has to say in the end, and after how many attempts. */
export interface End {
  readonly outcome: "done" | "skipped" | "dead";
  readonly reason?: "fatal" | "exhausted";
  readonly attempts: number;
}

/** A number below 100 that only these decide. */
function dice(sequence: number, attempt: number): number {
  let state = Math.imul(sequence, 0x9e3779b1) ^ Math.imul(attempt, 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
  state = Math.imul(state ^ (state >>> 12), 0x297a2d39);
  return ((state ^ (state >>> 15)) >>> 0) % 100;
}

export function fateOf(sequence: number, attempt: number): Fate {
  const drawn = dice(sequence, attempt);
  const tookMs = [0, 0, 40, 700][drawn % 4] ?? 0;
  if (drawn < 35) return { does: "ends", tookMs, afterMs: 0 };
  if (drawn < 42) return { does: "skips", tookMs, afterMs: 0 };
  if (drawn < 50) return { does: "gives up", tookMs, afterMs: 0 };
  if (drawn < 62) return { does: "retries", tookMs, afterMs: 5000 };
  if (drawn < 75) return { does: "retries", tookMs, afterMs: 180_000 };
  if (drawn < 80) return { does: "ends", tookMs: POLICY.timeoutMs + 1000, afterMs: 0 }; // too late
  return { does: "throws", tookMs, afterMs: 0 };
}

/** Whether the attempt fails and may be followed by another one. */
export function fails({ does, tookMs }: Fate): boolean {
  return does === "throws" || does === "retries" || tookMs >= POLICY.timeoutMs;
}

export function endOf(sequence: number): End {
  for (let attempts = 1; ; attempts++) {
    const fate = fateOf(sequence, attempts);
    if (fate.does === "gives up") return { outcome: "dead", reason: "fatal", attempts };
    if (!fails(fate)) return { outcome: fate.does === "skips" ? "skipped" : "done", attempts };
    if (attempts === POLICY.retry.attempts) return { outcome: "dead", reason: "exhausted", attempts };
  }
}

/** How long at least the next attempt waits, from the end of this one or its timeout. */
export function leastMs({ does, afterMs }: Fate): number {
  return does === "retries" ? afterMs : POLICY.retry.min;
}
