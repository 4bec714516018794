// Small state by revision, in memory: the contract of the bus without a bus.

import type { StateStore } from "../../../src/bus/bus.ts";

export function memoryStore(): StateStore {
  const entries = new Map<string, { readonly value: unknown; readonly revision: number }>();
  return {
    get: async (key) => entries.get(key),
    put: async (key, value, revision) => {
      if ((entries.get(key)?.revision ?? 0) !== revision) return undefined;
      entries.set(key, { value: JSON.parse(JSON.stringify(value)) as unknown, revision: revision + 1 });
      return revision + 1;
    },
    delete: async (key) => {
      entries.delete(key);
    },
    keys: async (prefix) => [...entries.keys()].filter((key) => key.startsWith(prefix)),
  };
}
