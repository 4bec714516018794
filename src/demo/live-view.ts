// What the demo shows while it runs, and its last line.

import type { DemoSummary } from "./account.ts";

/** `committed 12 · published 12 · handled 8 of 9 (1 dead letters) · …` */
export function summaryLine(summary: DemoSummary): string {
  const { committed, published, expected, handled, deadLettered } = summary;
  return [
    `committed ${committed}`,
    `published ${published}`,
    `handled ${handled} of ${expected} (${deadLettered} dead letters)`,
    `lost ${summary.lost}`,
    `duplicated ${summary.duplicated}`,
    `outOfOrder ${summary.outOfOrder}`,
    `commit-to-handler p50 ${summary.p50Ms} ms p99 ${summary.p99Ms} ms`,
  ].join(" · ");
}

/** A table as lines, below it what came last; always as many lines, to be drawn over the last picture. */
export function liveTable(
  summary: DemoSummary,
  seconds: number,
  newest: readonly string[],
  where: string,
): readonly string[] {
  const rate = (n: number): string => (seconds > 0 ? `${Math.round(n / seconds)}/s` : "");
  const rows: readonly (readonly [string, number | string, string])[] = [
    [`committed in ${where}`, summary.committed, rate(summary.committed)],
    ["published to JetStream", summary.published, rate(summary.published)],
    ["on their way", summary.lost, ""],
    ["handled by automations", summary.handled, rate(summary.handled)],
    ["dead letters", summary.deadLettered, ""],
    ["duplicated", summary.duplicated, ""],
    ["out of order", summary.outOfOrder, ""],
    ["commit to handler, p50", `${summary.p50Ms} ms`, ""],
    ["commit to handler, p99", `${summary.p99Ms} ms`, ""],
  ];
  return rows.map(([name, value, more], nth) => {
    const event = newest[newest.length - 1 - nth];
    const line = `  ${name.padEnd(24)}${String(value).padStart(12)}  ${more.padEnd(8)}`;
    return (event === undefined ? line : `${line}  ${nth === 0 ? ">" : " "} ${event}`).trimEnd();
  });
}

/**
 * What a terminal is sent to show these lines in place of the last ones.
 * @param columns that it has: a longer line would take two, and the next picture begin too low
 */
export function drawOver(lines: readonly string[], drawn: number, columns: number): string {
  const cut = lines.map((line) => (line.length < columns ? line : `${line.slice(0, columns - 2)}…`));
  return `${drawn > 0 ? `\u001b[${drawn}A` : ""}${cut.map((line) => `\u001b[2K${line}\n`).join("")}`;
}
