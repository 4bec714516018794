// How fast existing rows are copied, beside COPY TO STDOUT of the same table; and what a copy does to the events beside it.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Ground, onGround } from "./ground.ts";
import { storePrepared } from "./prepared-batches.ts";
import { type BenchOptions, type BenchResult, median } from "./result.ts";
import { createTable, writeTransaction } from "./rows.ts";
import { insertSteadily, quantile } from "./steady-writes.ts";
import { Worker } from "./worker.ts";

const run = promisify(execFile);
const RUNS = 3;
const PER_SECOND = 200;
/** How long events are measured without a copy. */
const QUIET_S = 15;

/** Takes the time from the commit to itself, with the id of each row; what it saw is left in a file when the process ends. */
const AUTOMATION = `import { writeFileSync } from "node:fs";
import { automation, collection } from "millrace";
const seen = [];
const on = collection("s1", "public.measured").created();
export const measure = automation("measure", { on }, ({ event }) => {
  const nowMs = performance.timeOrigin + performance.now();
  const committedMs = Date.parse(event.time) + Number(event.time.slice(23, -1).padEnd(3, "0")) / 1000;
  seen.push([Number(event.key.id), nowMs - committedMs]);
});
process.on("exit", () => writeFileSync("latencies.json", JSON.stringify(seen)));
`;

export function benchBackfill({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  return onGround(
    { sync, settings: { max_wal_size: "8GB" }, sources: ["s1"], automations: AUTOMATION },
    async (bench) => {
      await createTable(bench.database);
      say(`writing ${rows} rows`);
      await writeTransaction(bench.database, rows);
      await bench.database.query("vacuum (analyze) measured");
      const worker = await Worker.start(bench);
      const [ours, reference, prepared]: [number[], number[], number[]] = [[], [], []];
      let [quietEnd, busyEnd] = [rows, rows];
      let peakRssMb: number | undefined;
      try {
        await worker.until(async () => {
          const status = await worker.status();
          const runs = status?.sources[0]?.state === "running" && status.automations[0]?.state === "running";
          return runs ? true : undefined;
        });
        for (let nth = 0; nth < RUNS; nth++) {
          const copied = await timeCopyTo(bench.url);
          if (copied !== undefined) reference.push(Math.round(rows / copied));
          ours.push(Math.round(await copy(bench)));
          prepared.push(Math.round(await storePrepared(bench, "s1")));
          say(`${ours.at(-1)} rows/s, beside ${reference.at(-1) ?? "nothing"}; prepared ones ${prepared.at(-1)}`);
        }
        say(`${PER_SECOND} transactions a second, first alone, then beside a copy`);
        quietEnd = rows + PER_SECOND * QUIET_S;
        await insertSteadily(bench.url, { first: rows + 1, last: quietEnd, perSecond: PER_SECOND });
        const copying = copy(bench);
        const lengthS = Math.max(3, Math.floor((0.9 * rows) / median(ours)));
        busyEnd = quietEnd + PER_SECOND * lengthS;
        await insertSteadily(bench.url, { first: quietEnd + 1, last: busyEnd, perSecond: PER_SECOND });
        await copying;
        await worker.until(async () => {
          const handled = (await worker.status())?.automations[0]?.handled ?? 0;
          return handled >= busyEnd - rows ? true : undefined;
        });
        peakRssMb = worker.peakRssMb();
      } finally {
        await worker.stop();
      }
      const seen = JSON.parse(await readFile(join(bench.dir, "latencies.json"), "utf8")) as readonly [number, number][];
      // The first seconds are of a process that warms up.
      const quiet = seen.filter(([id]) => id > rows + 3 * PER_SECOND && id <= quietEnd).map(([, ms]) => ms);
      const busy = seen.filter(([id]) => id > quietEnd).map(([, ms]) => ms);
      const [value, beside] = [median(ours), reference.length === 0 ? null : median(reference)];
      return {
        name: "backfill",
        value,
        unit: "rows/s",
        reference: beside,
        ratio: beside === null ? null : Math.round((value / beside) * 1000) / 1000,
        rssMb: peakRssMb ?? null,
        sync,
        servers: bench.servers,
        rows,
        details: {
          preparedPerS: median(prepared),
          ...{ tailP50Ms: quantile(quiet, 0.5), tailP99Ms: quantile(quiet, 0.99) },
          ...{ besideCopyP50Ms: quantile(busy, 0.5), besideCopyP99Ms: quantile(busy, 0.99) },
        },
        runs: { ours, reference },
      };
    },
  );
}

/** One copy, to its end. @returns rows a second, from its first marker to its last */
async function copy({ cli, dir, streams }: Ground): Promise<number> {
  await run(process.execPath, [cli, "backfill", "start", "s1", "--json"], { cwd: dir });
  const marker = await streams.streams.getMessage("CDC_S1", { last_by_subj: "meta.s1.backfill" });
  if (marker === null) throw new Error("the stream says nothing of the copy");
  const { state, startedAt, rows } = marker.json<{ state: string; startedAt: string; rows: number }>();
  if (state !== "completed") throw new Error(`the copy is ${state}`);
  return (rows * 1000) / (marker.time.getTime() - Date.parse(startedAt));
}

const places = ["/usr/lib/postgresql/15/bin/psql", "/usr/bin/psql"];

/** The seconds that psql takes for all rows, its start included; undefined where it is not installed. */
async function timeCopyTo(url: string): Promise<number | undefined> {
  const psql = places.find((place) => existsSync(place));
  if (psql === undefined) return undefined;
  const start = performance.now();
  await run(psql, [url, "--quiet", "--command", "copy measured to stdout", "--output", "/dev/null"]);
  return (performance.now() - start) / 1000;
}
