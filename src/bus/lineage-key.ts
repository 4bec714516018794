// The key that lineage is signed with: on the bus, where no role of a database can read it, and the same for all workers.

import { randomBytes } from "node:crypto";
import { BugError } from "../errors.ts";
import type { StateStore } from "./state-store.ts";

const KEY = "lineage-key";

/** Reads it, or makes it where there is none yet. @throws TransientError, ConfigError of the bus */
export async function lineageKey(state: StateStore): Promise<string> {
  for (;;) {
    const entry = await state.get(KEY);
    if (typeof entry?.value === "string") return entry.value;
    const made = randomBytes(32).toString("hex");
    if ((await state.put(KEY, made, entry?.revision ?? 0)) !== undefined) return made;
  }
}

/** The same, read once. @param state of the bus, once there is one */
export function keptLineageKey(state: () => StateStore | undefined): () => Promise<string> {
  let key: string | undefined;
  return async () => {
    const store = state();
    if (store === undefined) throw new BugError("LINEAGE_TOO_EARLY", "lineage is sealed before there is a bus");
    key ??= await lineageKey(store);
    return key;
  };
}
