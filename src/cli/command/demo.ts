// `millrace demo`: everything at once, on this machine, with the books open.

import { runDemo } from "../../demo/demo.ts";
import { drawOver, liveTable, summaryLine } from "../../demo/live-view.ts";

export interface DemoCommandOptions {
  readonly seconds: number | undefined;
  readonly json: boolean;
  readonly keep: boolean;
  readonly signal: AbortSignal;
  readonly print: (line: string) => Promise<void>;
}

/** The width of a terminal that does not say. */
const USUAL_COLUMNS = 80;

/** Resolves to whether all was exact. */
export async function demo({ seconds, json, keep, signal, print }: DemoCommandOptions): Promise<boolean> {
  const live = !json && process.stdout.isTTY === true;
  if (!json) await print("Starting Postgres, nats-server, a shop and three automations. Ctrl-C ends it.");
  signal.addEventListener("abort", () => {
    if (!json) console.error("Counting what is under way; Ctrl-C once more ends it without.");
    drawn = 0;
  });
  const startedMs = performance.now();
  let drawn = 0;
  const { summary, faults, directory } = await runDemo({
    seconds,
    keep,
    signal,
    show: (progress, newest) => {
      if (!live) return;
      const lines = liveTable(progress, (performance.now() - startedMs) / 1000, newest);
      process.stdout.write(drawOver(lines, drawn, process.stdout.columns || USUAL_COLUMNS));
      drawn = lines.length;
    },
  });
  await print(json ? JSON.stringify(summary) : summaryLine(summary));
  for (const fault of faults) console.error(`not exact: ${fault}`);
  if (keep) console.error(`kept: ${directory}`);
  return faults.length === 0;
}
