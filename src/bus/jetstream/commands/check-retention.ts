// What `check` says of a stream that keeps something else than the configuration states: only a new one is made by it.

import { DiscardPolicy, type StreamConfig } from "@nats-io/jetstream";
import type { Retention } from "../../../event/retention.ts";
import { about, type Finding } from "../../../telemetry/finding.ts";

/** Empty where all that is stated holds. */
export function retentionFindings(config: StreamConfig, { ageMs, bytes, discard }: Retention): readonly Finding[] {
  const differs: string[] = [];
  const options: string[] = [];
  const is = keptAs(config);
  if (ageMs !== undefined && ageMs !== is.ageMs) {
    differs.push(`age: it keeps events ${age(is.ageMs)}, and the configuration says ${age(ageMs)}`);
    options.push(`--max-age=${ageMs === Number.POSITIVE_INFINITY ? "0s" : duration(ageMs)}`);
  }
  if (bytes !== undefined && bytes !== is.bytes) {
    differs.push(`bytes: it keeps ${is.bytes ?? "any number of"} bytes, and the configuration says ${bytes}`);
    options.push(`--max-bytes=${bytes}`);
  }
  if (discard !== undefined && discard !== is.discard) {
    differs.push(`discard: it discards ${is.discard} events when it is full, and the configuration says ${discard}`);
    options.push(`--discard=${discard}`);
  }
  if (differs.length === 0) return [];
  return [
    about(`stream ${config.name}`).warn(
      "BUS_STREAM_RETENTION",
      `bus.retention is for a new stream, and this one is there already; ${differs.join("; ")}`,
      `nats stream edit ${config.name} ${options.join(" ")}`,
    ),
  ];
}

/** What a stream keeps, in one sentence. */
export function retentionText(config: StreamConfig): string {
  const { ageMs, bytes, discard } = keptAs(config);
  const limit = bytes === undefined ? "" : `, ${Math.ceil(bytes / 1024 / 1024)} MB at most`;
  return `it keeps events ${age(ageMs)}${limit}${discard === "new" ? ", and takes no new ones when it is full" : ""}`;
}

function keptAs({ max_age, max_bytes, discard }: StreamConfig): Retention & { readonly ageMs: number } {
  return {
    ageMs: max_age === 0 ? Number.POSITIVE_INFINITY : max_age / 1e6,
    bytes: max_bytes > 0 ? max_bytes : undefined,
    discard: discard === DiscardPolicy.New ? "new" : "old",
  };
}

function age(ms: number): string {
  return ms === Number.POSITIVE_INFINITY ? "for ever" : `for ${duration(ms)}`;
}

/** As the nats command takes it. */
function duration(ms: number): string {
  for (const [unit, size] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
  ] as const) {
    if (ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms / 1000}s`;
}
