// `npm run bench -- <name> [--rows N] [--sync default|always] [--json]`: measures, compares, and keeps the result.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchAutomations } from "./automations.ts";
import { benchBackfill } from "./backfill.ts";
import { benchCatalog } from "./catalog.ts";
import { benchDynamodb } from "./dynamodb/bench.ts";
import { benchLatency } from "./latency.ts";
import { describeMachine } from "./machine.ts";
import { benchMongodb } from "./mongodb/bench.ts";
import { benchOutbox } from "./outbox.ts";
import { benchPatterns } from "./patterns.ts";
import { benchProfile } from "./profile.ts";
import type { BenchOptions, BenchResult } from "./result.ts";
import { benchTail } from "./tail.ts";
import { benchTransaction } from "./transaction.ts";

interface Bench {
  readonly run: (options: BenchOptions) => Promise<BenchResult>;
  /** Default of `--rows`. */
  readonly rows: number;
}

const benches: Readonly<Record<string, Bench>> = {
  tail: { run: benchTail, rows: 500_000 },
  transaction: { run: benchTransaction, rows: 1_000_000 },
  latency: { run: benchLatency, rows: 20_000 },
  profile: { run: benchProfile, rows: 500_000 },
  backfill: { run: benchBackfill, rows: 1_000_000 },
  outbox: { run: benchOutbox, rows: 5_000 },
  automations: { run: benchAutomations, rows: 500_000 },
  /** Rows are events here, each held against a pattern. */
  patterns: { run: benchPatterns, rows: 500_000 },
  /** Rows are events here. */
  mongodb: { run: benchMongodb, rows: 1_000_000 },
  /** Rows are records here. */
  dynamodb: { run: benchDynamodb, rows: 400_000 },
  /** Rows are tables here. */
  catalog: { run: benchCatalog, rows: 50_000 },
};

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      rows: { type: "string" },
      sync: { type: "string", default: "default" },
      json: { type: "boolean", default: false },
    },
  });
  const [name = ""] = positionals;
  const bench = benches[name];
  const rows = Number(values.rows ?? bench?.rows);
  const { sync } = values;
  if (bench === undefined || !Number.isSafeInteger(rows) || rows < 1000 || (sync !== "default" && sync !== "always")) {
    console.error(
      `usage: npm run bench -- <${Object.keys(benches).join("|")}> [--rows N] [--sync default|always] [--json]`,
    );
    process.exitCode = 2;
    return;
  }

  const say = (line: string): void => console.error(line);
  const result = await bench.run({ rows, sync, say });
  const file = join("bench/results", `${name}-${sync}.json`);
  await mkdir("bench/results", { recursive: true });
  await writeFile(file, `${JSON.stringify({ ...result, ...describeMachine() }, null, 2)}\n`);
  if (values.json) {
    const { name, value, unit, reference, ratio, rssMb, sync, servers } = result;
    console.log(JSON.stringify({ name, value, unit, reference, ratio, rssMb, sync, servers }));
    return;
  }
  const beside = result.ratio === null ? "nothing to compare with" : `${result.ratio} of ${result.reference}`;
  console.log(`${name}: ${result.value} ${result.unit}, ${beside}; ${result.rssMb} MB; kept in ${file}`);
}

await main();
