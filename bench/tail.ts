// How fast a log is drained into a stream, beside pg_recvlogical on the same log: three runs each, taking turns.

import { compareDrains } from "./drain.ts";
import { onGround } from "./ground.ts";
import type { BenchOptions, BenchResult } from "./result.ts";
import { createTable, writeRows } from "./rows.ts";

const RUNS = [1, 2, 3];

export function benchTail(options: BenchOptions): Promise<BenchResult> {
  const { rows, sync, say } = options;
  const ground = { sync, settings: { max_wal_size: "8GB" }, sources: RUNS.map((run) => `s${run}`) };
  return onGround(ground, async (bench) => {
    await createTable(bench.database);
    const write = async (): Promise<void> => {
      say(`writing ${rows} rows`);
      await writeRows(bench.database, rows);
    };
    return { name: "tail", ...(await compareDrains(bench, RUNS, write, options)) };
  });
}
