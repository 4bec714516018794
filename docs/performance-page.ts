// docs/performance.md from bench/results: what was measured, beside what, on which machine and servers.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchResult } from "../bench/result.ts";

/** As `npm run bench` writes it. */
interface Recorded extends BenchResult {
  readonly machine: Readonly<Record<"cpu" | "system", string> & Record<"cores" | "memoryGb", number>>;
  readonly node: string;
  readonly date: string;
}

const head = `# Performance

Written by \`npm run docs\` from \`bench/results\`, which \`npm run bench -- <name>\` writes. Each figure stands beside a reference
that was measured in the same run on the same machine: compare ratios, not figures. \`sync\` is nats-server's
\`sync_interval\`: its default of two minutes, or \`always\`. RSS is the most that the worker ever held.

- **tail**: rows in transactions of 100, drained from a slot into a file stream; beside \`pg_recvlogical\` reading the same log
  to /dev/null.
- **transaction**: the same with one transaction of all rows; \`silentS\` is the longest time without a word to Postgres.
- **latency**: 1000 transactions a second of one row, from the commit to the handler; beside the insert's own p99.
- **backfill**: existing rows copied into a file stream, from the copy's first marker to its last; beside psql's \`COPY ... TO STDOUT\` of the same table to
  /dev/null. Then 200 transactions a second of one row, from the commit to the handler: \`tailP99Ms\` without a copy, \`besideCopyP99Ms\` while one runs.
  \`preparedPerS\` is what nats-server takes a second of such rows whose messages are ready, in the same atomic batches, one after the other: more than that no copy can store.
- **catalog**: what a source of two tables costs a database of 50,000 (half of them partitions): a look at its tables, which
  comes every ten seconds, beside the same look where there are no others; a first start; the description of a table that the
  log names. Rows are tables here.
- **mongodb**: events of a MongoDB source (six inserts, three updates with their document and a delete of every ten, documents of
  some 350 bytes) into a file stream; beside the driver's own \`watch()\` and \`next()\`, which only reads them. No database is measured:
  in its place a process hands out prepared replies, which it can faster than either reads them. \`cpuUs\` and \`watchCpuUs\` are the processors' time for each event. Rows are events here.
- **dynamodb**: records of a DynamoDB source (six inserts, three changes with both images and a removal of every ten), in eight shards,
  into a file stream; beside the SDK's own client, which reads the same shards with \`GetRecords\` and drops what it has parsed. Items of 300 bytes,
  and of 2000 under \`2000\`. No database is measured: in its place a process hands out prepared pages over plain HTTP. \`cpuUs\` and \`sdkCpuUs\` are the
  processors' time for each record. Then 200 open shards without records, with the default of \`poll\`: \`idleCpuPercent\` is the whole worker's, of
  one processor, once each shard is asked every two seconds; \`graceCpuPercent\` while it is asked every second, as for the first minute and for a
  minute behind each record. \`pickupP50Ms\` and \`pickupP99Ms\` are from the writing of a record in such a shard to its arrival at a plain
  subscriber of the bus; \`often\` is the same with \`poll: { minMs: 100, maxIdleMs: 500 }\`, within that minute. Rows are records here.
- **patterns**: the recorded pairs of pattern and event in \`test/golden/patterns.jsonl\`, each pattern compiled once; beside the parsing of the same
  events, which each delivery does anyway. In one process, without a server. Rows are events here. Beside it, once and by hand on 2026-11-29: event-ruler 2.1.0 (Jackson 2.17.2, Java
  17.0.15), a machine with one rule for each pattern, \`rulesForJSONEvent\` on the same 2480 pairs, 101 times a run, the median of five runs behind one that warmed the JVM up: 48,021 events/s with
  parsing (35,590 to 94,541), Jackson alone parsed 452,029. Within the same minutes this bench had 143,032 matched and 467,488 parsed events/s, which is 109,500 with parsing. Both were run on 2 shared processors with
  other work on them, so either may be off by a factor of two; and event-ruler is made for many rules in one machine, which is not what is measured here.
- **profile**: where the time of a **tail** goes: percentages of what the worker's thread did, by the folders of src, packages
  and Node's own code (\`node\`), as V8's profiler saw it; it slows the worker down, so the rate is no measure.
- **outbox**: [docs/outbox.md](outbox.md) says how it was measured, and what for.
`;

/** @param root of the project */
export function performancePage(root: string): string {
  const dir = join(root, "bench/results");
  const results = readdirSync(dir)
    .sort()
    .map((file) => JSON.parse(readFileSync(join(dir, file), "utf8")) as Recorded);
  const rows = results.map((result) => {
    const {
      name,
      sync,
      rows,
      value,
      unit,
      reference,
      ratio,
      rssMb,
      details = {},
      servers,
      machine,
      node,
      date,
    } = result;
    const more = Object.entries(details).map(([detail, number]) => `${detail} ${number}`);
    const versions = Object.entries(servers).map(([server, version]) => `${server} ${version.split(" ")[0]}`);
    const measured = [
      name,
      sync,
      rows,
      `${value} ${unit}`,
      reference ?? "-",
      ratio ?? "-",
      rssMb ?? "-",
      more.join(", "),
    ];
    const where = `${machine.cores} × ${machine.cpu}, ${machine.memoryGb} GB; node ${node}, ${versions.join(", ")}; ${date}`;
    return `| ${[...measured, where].join(" | ")} |`;
  });
  const titles = ["bench", "sync", "rows", "ours", "reference", "ratio", "RSS, MB", "more", "where and when"];
  return [head, `| ${titles.join(" | ")} |`, `|${"---|".repeat(titles.length)}`, ...rows, ""].join("\n");
}
