// One transaction of very many rows: how fast it goes, how much memory the worker takes, and that Postgres hears from it
// all the while.

import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { compareDrains, type Drain } from "./drain.ts";
import { onGround } from "./ground.ts";
import type { BenchOptions, BenchResult } from "./result.ts";
import { createTable, writeTransaction } from "./rows.ts";

/** The worker's session asks for it; short, so that a pause of the event loop would show. */
const TIMEOUT_S = 10;
const LOOK_EVERY_MS = 100;

/** @throws Error when the connection was cut, or the last word of the worker was older than Postgres puts up with */
export function benchTransaction(options: BenchOptions): Promise<BenchResult> {
  const { rows, sync, say } = options;
  const ground = {
    sync,
    settings: { max_wal_size: "8GB" },
    sources: ["s1"],
    options: { timeout: `${TIMEOUT_S}s` },
  };
  return onGround(ground, async (bench) => {
    await createTable(bench.database);
    const write = async (): Promise<void> => {
      say(`writing ${rows} rows in one transaction`);
      await writeTransaction(bench.database, rows);
    };
    let silentS = 0;
    const watch = async (drain: () => Promise<Drain>): Promise<Drain> => {
      const ended = new AbortController();
      const watching = watchSender(bench.url, ended.signal);
      watching.catch(() => {}); // thrown below: here it would end the process, and leave the servers
      try {
        return await drain();
      } finally {
        ended.abort();
        silentS = await watching;
        say(`the longest that Postgres heard nothing: ${silentS} s of ${TIMEOUT_S}`);
      }
    };
    const result = await compareDrains(bench, [1], write, options, watch);
    return { name: "transaction", ...result, details: { silentS } };
  });
}

/** The longest time, in seconds, between two words of the worker to its walsender. */
async function watchSender(url: string, signal: AbortSignal): Promise<number> {
  const database = new Client({ connectionString: url });
  await database.connect();
  let longest = 0;
  let sender: number | undefined;
  try {
    while (!signal.aborted) {
      const { rows } = await database.query<{ pid: number; silent: number }>(
        `select pid, extract(epoch from clock_timestamp() - greatest(reply_time, backend_start))::float8 as silent
           from pg_stat_replication where application_name <> 'pg_recvlogical'`,
      );
      const [now] = rows;
      if (now !== undefined) {
        if (sender !== undefined && sender !== now.pid) throw new Error("the walsender was cut off and came anew");
        sender = now.pid;
        longest = Math.max(longest, now.silent);
      }
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    await database.end();
  }
  if (sender === undefined) throw new Error("no walsender was ever seen");
  if (longest > TIMEOUT_S) throw new Error(`Postgres heard nothing for ${longest} s`);
  return Math.round(longest * 100) / 100;
}
