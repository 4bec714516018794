// Waits for a condition instead of sleeping, and says what it waited for in vain.

import { inspect } from "node:util";
import { type Clock, realClock } from "../../src/clock.ts";

/** Less where tests are to fail: see test/fault/log-facts.test.ts. */
const PATIENCE_MS = Number(process.env.WAIT_MS ?? 45_000);

/**
 * Calls `look` until it gives something else than undefined or false, and resolves to that. What it throws counts as
 * "not yet".
 * @throws Error with `what` and the last answer once `timeoutMs` (default 45 s, or `WAIT_MS`) have passed by the clock
 */
export async function waitFor<T>(
  look: () => T | Promise<T>,
  {
    what,
    timeoutMs = PATIENCE_MS,
    clock = realClock,
  }: { readonly what: string; readonly timeoutMs?: number; readonly clock?: Clock },
): Promise<Exclude<T, undefined | false>> {
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const answer = await look();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (clock.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}; last: ${inspect(last, { depth: 4 })}`);
    }
    await clock.sleep(20);
  }
}
