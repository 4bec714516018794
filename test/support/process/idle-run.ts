// A worker with the default configuration, and nobody who writes: real servers, real time. What it says of itself is asked
// every five seconds, and each word of warning is kept.

import { setTimeout as delay } from "node:timers/promises";
import type { Status } from "../../../src/monitor/status.ts";
import { freshDatabase, freshNats, freshPostgres } from "../servers.ts";
import { WorkerProcess } from "./worker-process.ts";

export interface IdleResult {
  readonly ok: boolean;
  readonly minutes: number;
  readonly looks: number;
  /** Since the source was ready; undefined: never. */
  readonly firstAcknowledgedSeconds: number | undefined;
  /** The most that its guard ever saw. */
  readonly longestLagSeconds: number;
  readonly longestHeldSeconds: number;
  /** Lines of the log above `info`, codes that /readyz said, and series that an alert rule fires on; once each. */
  readonly warnings: readonly string[];
  readonly exitCode: number | string;
}

/** As the documents say: with the bus's default of two minutes the log of up to five is kept. */
const MAX_SECONDS = 300;
const LOOK_EVERY_MS = 5_000;

/** Each alert rule of docker/prometheus/alerts.yml as it reads for a worker that is up, and idle from its start on. */
const alerts: readonly (readonly [metric: RegExp, fires: (value: number) => boolean])[] = [
  [/^millrace_ready\{/, (value) => value === 0],
  [/^millrace_guard_exceeded\{/, (value) => value === 1],
  [/^millrace_guard_time_to_full_seconds\{/, (value) => value < 3600],
  [/^millrace_guard_sees\{/, (value) => value === 0],
  [/^millrace_source_lag_seconds\{/, (value) => value > 300],
  [/^millrace_(source_gaps|automation_gaps|source_poison|bus_recoveries)_total\{/, (value) => value > 0],
  [/^millrace_automation_events_total\{.*outcome="dead"/, (value) => value > 0],
];

/** Never rejects for what it finds: `ok` says. */
export async function runIdle({
  minutes,
  cliFile,
  say,
}: {
  readonly minutes: number;
  readonly cliFile: string;
  readonly say: (text: string) => void;
}): Promise<IdleResult> {
  await using database = await freshDatabase(await freshPostgres());
  const nats = await freshNats();
  await database.query("create table orders(id int primary key)");
  const sources = { shop: { kind: "postgres", url: database.url } };
  await using worker = await WorkerProcess.start({ bus: { servers: nats.url }, sources }, { cliFile });
  await worker.logged("source_started");
  const warnings = new Set<string>();
  let looks = 0;
  let readyMs: number | undefined;
  let firstAcknowledgedSeconds: number | undefined;
  let longestLagSeconds = 0;
  let longestHeldSeconds = 0;
  const endMs = performance.now() + minutes * 60_000;
  while (performance.now() < endMs) {
    const status = (await (await fetch(`${worker.httpUrl}/api/status`)).json()) as Status;
    const metrics = await (await fetch(`${worker.httpUrl}/metrics`)).text();
    if (status.ready) readyMs ??= performance.now();
    if (readyMs !== undefined) {
      looks++;
      const [shop] = status.sources;
      if ((shop?.acknowledged ?? 0) > 0) firstAcknowledgedSeconds ??= (performance.now() - readyMs) / 1000;
      longestHeldSeconds = Math.max(longestHeldSeconds, (shop?.heldForFsync.oldestMs ?? 0) / 1000);
      longestLagSeconds = Math.max(longestLagSeconds, metricOf(metrics, "millrace_guard_lag_seconds"));
      for (const { id, code } of status.parts) if (code !== undefined) warnings.add(`/readyz ${id} ${code}`);
      for (const series of firing(metrics)) warnings.add(series);
    }
    for (const line of worker.logLines()) if (line.level !== "info") warnings.add(`log ${JSON.stringify(line)}`);
    if (looks % 60 === 1)
      say(JSON.stringify({ looks, firstAcknowledgedSeconds, longestLagSeconds, longestHeldSeconds }));
    await delay(LOOK_EVERY_MS);
  }
  const exitCode = await worker.stop();
  const early = firstAcknowledgedSeconds !== undefined && firstAcknowledgedSeconds < MAX_SECONDS;
  return {
    ok: warnings.size === 0 && early && exitCode === 0,
    minutes,
    looks,
    firstAcknowledgedSeconds,
    longestLagSeconds,
    longestHeldSeconds,
    warnings: [...warnings],
    exitCode,
  };
}

function firing(metrics: string): readonly string[] {
  return metrics.split("\n").filter((line) => {
    const value = Number(line.slice(line.lastIndexOf(" ") + 1));
    return alerts.some(([metric, fires]) => metric.test(line) && fires(value));
  });
}

function metricOf(metrics: string, name: string): number {
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, "m").exec(metrics)?.[1] ?? 0);
}
