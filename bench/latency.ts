// From commit to handler: a thousand transactions of one row a second through the built worker, beside what the inserts
// themselves take in the same run.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { onGround } from "./ground.ts";
import type { BenchOptions, BenchResult } from "./result.ts";
import { createTable } from "./rows.ts";
import { insertSteadily, quantile } from "./steady-writes.ts";
import { Worker } from "./worker.ts";

const RATE = 1000;
/** Until every part runs as it will: not counted. */
const WARM_UP_ROWS = 3000;

/** An automation that only takes the time; what it saw is left in a file when the process ends. */
const AUTOMATION = `import { writeFileSync } from "node:fs";
import { automation, collection } from "millrace";
const seen = [];
const on = collection("s1", "public.measured").created();
export const measure = automation("measure", { on, start: "earliest" }, ({ event }) => {
  const nowMs = performance.timeOrigin + performance.now();
  const committedMs = Date.parse(event.time) + Number(event.time.slice(23, -1).padEnd(3, "0")) / 1000;
  if (Number(event.key.id) > ${WARM_UP_ROWS}) seen.push(nowMs - committedMs);
});
process.on("exit", () => writeFileSync("latencies.json", JSON.stringify(seen)));
`;

export function benchLatency({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  return onGround({ sync, sources: ["s1"], automations: AUTOMATION }, async (bench) => {
    await createTable(bench.database);
    const worker = await Worker.start(bench);
    let inserts: readonly number[];
    let peakRssMb: number | undefined;
    try {
      await worker.until(async () => {
        const status = await worker.status();
        const runs = status?.sources[0]?.state === "running" && status.automations[0]?.state === "running";
        return runs ? true : undefined;
      });
      say(`${RATE} transactions a second for ${rows / RATE} s`);
      const took = await insertSteadily(bench.url, { first: 1, last: WARM_UP_ROWS + rows, perSecond: RATE });
      inserts = took.slice(WARM_UP_ROWS);
      await worker.until(async () => {
        const handled = (await worker.status())?.automations[0]?.handled ?? 0;
        return handled >= WARM_UP_ROWS + rows ? true : undefined;
      });
      peakRssMb = worker.peakRssMb();
    } finally {
      await worker.stop();
    }
    const handlers = JSON.parse(await readFile(join(bench.dir, "latencies.json"), "utf8")) as readonly number[];
    const [p50Ms, p99Ms] = [quantile(handlers, 0.5), quantile(handlers, 0.99)];
    const [insertP50Ms, insertP99Ms] = [quantile(inserts, 0.5), quantile(inserts, 0.99)];
    say(
      `commit to handler: p50 ${p50Ms} ms, p99 ${p99Ms} ms; the insert itself: p50 ${insertP50Ms}, p99 ${insertP99Ms}`,
    );
    return {
      name: "latency",
      value: p99Ms,
      unit: "ms at p99",
      reference: insertP99Ms,
      ratio: Math.round((p99Ms / insertP99Ms) * 1000) / 1000,
      rssMb: peakRssMb ?? null,
      sync,
      servers: bench.servers,
      rows,
      runs: { ours: [p99Ms], reference: [insertP99Ms] },
      details: { p50Ms, p99Ms, insertP50Ms, insertP99Ms },
    };
  });
}
