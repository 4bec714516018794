// Patterns: the recorded pairs of pattern and event, each pattern compiled once and held against its event, beside what it
// takes to parse the same events, which every delivery does anyway. In one process, without a server.

import { readFileSync } from "node:fs";
import { compilePattern } from "../src/automation/pattern/compile-pattern.ts";
import { type BenchOptions, type BenchResult, median } from "./result.ts";

const RUNS = 5;

interface Pair {
  readonly match: (event: unknown) => boolean;
  readonly event: unknown;
  readonly text: string;
  readonly matches: boolean;
}

export async function benchPatterns({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  const pairs = recordedPairs();
  const rounds = Math.ceil(rows / pairs.length);
  const matching = pairs.filter(({ matches }) => matches).length * rounds;
  const runs = { ours: [] as number[], reference: [] as number[] };
  let sink = 0;
  for (let run = 0; run <= RUNS; run++) {
    let matched = 0;
    const ours = rate(
      rounds * pairs.length,
      () => {
        for (const { match, event } of pairs) if (match(event)) matched++;
      },
      rounds,
    );
    if (matched !== matching) throw new Error(`${matched} of ${matching} events matched`);
    const parsed = rate(
      rounds * pairs.length,
      () => {
        for (const { text } of pairs) if (JSON.parse(text) !== null) sink++;
      },
      rounds,
    );
    if (run === 0) continue; // until all is compiled
    runs.ours.push(ours);
    runs.reference.push(parsed);
    say(`${ours} events a second matched, ${parsed} parsed`);
  }
  if (sink === 0) throw new Error("nothing was parsed");
  const [value, reference] = [median(runs.ours), median(runs.reference)];
  return {
    name: "patterns",
    value,
    unit: "events/s, each against a pattern of its own",
    reference,
    ratio: Math.round((value / reference) * 1000) / 1000,
    rssMb: Math.round(process.resourceUsage().maxRSS / 1024),
    sync,
    servers: {},
    rows: rounds * pairs.length,
    runs,
  };
}

function rate(events: number, round: () => void, rounds: number): number {
  const startMs = performance.now();
  for (let nth = 0; nth < rounds; nth++) round();
  return Math.round((events * 1000) / (performance.now() - startMs));
}

/** Those whose numbers `JSON.parse` carries. */
function recordedPairs(): readonly Pair[] {
  const lines = readFileSync(new URL("../test/golden/patterns.jsonl", import.meta.url), "utf8").split("\n");
  return lines.slice(1).flatMap((line) => {
    if (line === "") return [];
    const { pattern, event, matches, raw, error } = JSON.parse(line);
    return raw || error ? [] : [{ match: compilePattern(pattern), event, text: JSON.stringify(event), matches }];
  });
}
