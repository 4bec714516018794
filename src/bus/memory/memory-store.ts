// Small state by revision, in memory.

import type { StateStore } from "../bus.ts";

/** Values are kept as JSON text, as a bucket has them: nobody holds on to what is stored. */
export function memoryStore(): StateStore {
  const entries = new Map<string, { readonly text: string; readonly revision: number }>();
  let revisions = 0;
  return {
    get: async (key) => {
      const entry = entries.get(key);
      return entry && { value: JSON.parse(entry.text) as unknown, revision: entry.revision };
    },
    put: async (key, value, revision) => {
      if ((entries.get(key)?.revision ?? 0) !== revision) return undefined;
      entries.set(key, { text: JSON.stringify(value), revision: ++revisions });
      return revisions;
    },
    delete: async (key) => {
      entries.delete(key);
    },
    keys: async (prefix) => [...entries.keys()].filter((key) => key.startsWith(prefix)),
  };
}
