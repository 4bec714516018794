// `millrace demo`: everything at once, on this machine, with the books open.

import { type DemoOptions, runDemo } from "../../demo/demo.ts";
import { drawOver, liveTable, summaryLine } from "../../demo/live-view.ts";

export interface DemoCommandOptions {
  /** The kind of database. */
  readonly source: DemoOptions["kind"];
  readonly seconds: number | undefined;
  readonly json: boolean;
  readonly keep: boolean;
  readonly signal: AbortSignal;
  readonly print: (line: string) => Promise<void>;
}

/** The width of a terminal that does not say. */
const USUAL_COLUMNS = 80;

const names = {
  postgres: ["Postgres", "Postgres"],
  mongodb: ["a MongoDB server", "the database"],
  dynamodb: ["a double of DynamoDB", "the double"],
} as const;

/** Resolves to whether all was exact. */
export async function demo({ source, seconds, json, keep, signal, print }: DemoCommandOptions): Promise<boolean> {
  const [name, where] = names[source];
  const live = !json && process.stdout.isTTY === true;
  if (!json) await print(`Starting ${name}, nats-server, a shop and three automations. Ctrl-C ends it.`);
  signal.addEventListener("abort", () => {
    if (!json) console.error("Counting what is under way; Ctrl-C once more ends it without.");
    drawn = 0;
  });
  const startedMs = performance.now();
  let drawn = 0;
  const { summary, faults, directory } = await runDemo({
    kind: source,
    seconds,
    keep,
    signal,
    // Which Postgres it is, is no question: it is the demo's own.
    onServer: (server) => {
      if (source !== "postgres") console.error(`The database is ${server}.`);
    },
    show: (progress, newest) => {
      if (!live) return;
      const lines = liveTable(progress, (performance.now() - startedMs) / 1000, newest, where);
      process.stdout.write(drawOver(lines, drawn, process.stdout.columns || USUAL_COLUMNS));
      drawn = lines.length;
    },
  });
  await print(json ? JSON.stringify(summary) : summaryLine(summary));
  for (const fault of faults) console.error(`not exact: ${fault}`);
  if (keep) console.error(`kept: ${directory}`);
  return faults.length === 0;
}
