// How an endpoint stands, on record in the state bucket: all workers go by it, and a restart does.

import type { StateStore } from "../../bus/state-store.ts";
import type { Asked } from "../../event/control.ts";

export const ENDPOINT_PREFIX = "endpoint.";

/** `open`, or why nothing is sent: `paused` by a person or because it failed for long, `disabled` by itself (410). */
export interface Standing extends Asked {
  /** Grows by one with each change. */
  readonly n: number;
  readonly state: "open" | "paused" | "disabled";
  readonly reason: "asked" | "failing" | "gone" | "probe";
}

export function endpointKey(name: string): string {
  return `${ENDPOINT_PREFIX}${name}`;
}

/** @throws RangeError when it is not what this version writes */
export function parseStanding(value: unknown): Standing {
  const { n, state, by, at, reason } = (value ?? {}) as Partial<Standing>;
  const well =
    Number.isSafeInteger(n) &&
    (state === "open" || state === "paused" || state === "disabled") &&
    [by, at, reason].every((text) => typeof text === "string");
  if (!well) throw new RangeError("the record is not what this version writes");
  return value as Standing;
}

/** What is on record of an endpoint; undefined before the first change. @throws TransientError, RangeError */
export async function readStanding(
  state: StateStore,
  name: string,
): Promise<{ readonly standing: Standing; readonly revision: number } | undefined> {
  const entry = await state.get(endpointKey(name));
  return entry && { standing: parseStanding(entry.value), revision: entry.revision };
}

/**
 * Puts a change on record, once it is told. Killed in between it is told and not so: whoever finds the same cause tells it once more,
 * under the same id.
 * @param next the change, from what is on record; undefined where that is right
 * @param tell publishes the event of it
 * @throws TransientError, RangeError
 */
export async function changeStanding(
  state: StateStore,
  name: string,
  next: (known: Standing | undefined) => Omit<Standing, "n"> | undefined,
  tell: (standing: Standing) => Promise<void>,
): Promise<{ readonly standing: Standing | undefined; readonly changed: boolean }> {
  for (;;) {
    const known = await readStanding(state, name);
    const wanted = next(known?.standing);
    if (wanted === undefined) return { standing: known?.standing, changed: false };
    const standing: Standing = { ...wanted, n: (known?.standing.n ?? 0) + 1 };
    await tell(standing);
    if ((await state.put(endpointKey(name), standing, known?.revision ?? 0)) !== undefined)
      return { standing, changed: true };
  }
}
