// Transactions of one row at a steady rate, and what is made of many durations.

import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { INSERT } from "./rows.ts";

const SESSIONS = 16;

/** Each row is due at its time, whatever the others take. @returns how long each took from then on, in ms, in their order */
export async function insertSteadily(
  url: string,
  { first, last, perSecond }: { readonly first: number; readonly last: number; readonly perSecond: number },
): Promise<readonly number[]> {
  const sessions = Array.from({ length: SESSIONS }, () => new Client({ connectionString: url }));
  await Promise.all(sessions.map((session) => session.connect()));
  const took: number[] = [];
  let next = first;
  const startMs = performance.now();
  const work = async (session: Client): Promise<void> => {
    for (let id = next++; id <= last; id = next++) {
      const dueMs = startMs + ((id - first + 1) * 1000) / perSecond;
      const earlyMs = dueMs - performance.now();
      if (earlyMs > 0) await delay(earlyMs);
      const sentMs = performance.now();
      await session.query({ name: "insert", text: INSERT, values: [id, id] });
      took[id - first] = performance.now() - sentMs;
    }
  };
  try {
    await Promise.all(sessions.map(work));
  } finally {
    await Promise.all(sessions.map((session) => session.end()));
  }
  return took;
}

export function quantile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).sort();
  return Math.round((sorted[Math.ceil(part * sorted.length) - 1] ?? 0) * 100) / 100;
}
