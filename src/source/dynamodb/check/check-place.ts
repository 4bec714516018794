// Whether the streams still hold what comes next for a source that was read before: found as the reader finds it.

import type { Clock } from "../../../clock.ts";
import type { Positions } from "../../../event/positions.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import { duration } from "../../../telemetry/quantities.ts";
import type { DynamoApi } from "../client/api.ts";
import type { DynamoConfig } from "../options/config.ts";
import { type Loss, lossError } from "../reader/losses.ts";
import { KEPT_SECONDS } from "../retention/stream-metrics.ts";
import { survey } from "../retention/survey.ts";
import { WatchedShard } from "../retention/watched-shard.ts";
import { type SourceRecord, wantedStreams } from "../stream-record.ts";

export interface PlaceOptions {
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly config: Pick<DynamoConfig, "guard" | "tables" | "outbox">;
  readonly record: SourceRecord;
  /** Up to where the stream holds all. */
  readonly stored: Positions | undefined;
  readonly signal: AbortSignal;
}

const SUBJECT = "place in the streams";
const FIX =
  '`millrace run --adopt`, or onGap: "continue", goes on behind a recorded gap, and reads all that is left: docs/operations/shard-lost.md.';

/** @throws ServerError, TransientError, ConfigError */
export async function placeFindings(options: PlaceOptions): Promise<readonly Finding[]> {
  const { api, clock, config, record, stored, signal } = options;
  const found = await survey({ api, clock, record: wantedStreams(record, config), through: stored, signal });
  const shards = found.shards.map((open) => new WatchedShard(open));
  for (const shard of shards) await shard.ask(api, clock.now(), clock.wall());
  const lost = [...found.lost, ...shards.flatMap(lossOf)];
  const [first] = lost;
  if (first !== undefined) {
    const { message, ...finding } = findingOf(lossError([first]), SUBJECT);
    const more = lost.length === 1 ? "" : `, and ${lost.length - 1} more like it`;
    return [{ ...finding, message: `${message}${more}`, fix: FIX }];
  }
  const lagSeconds = Math.max(0, ...shards.map((shard) => shard.ageMs(clock.now()))) / 1000;
  const { ok, warn } = about(SUBJECT);
  const many = `${shards.length} ${shards.length === 1 ? "shard" : "shards"} that ${shards.length === 1 ? "is" : "are"} not read to the end`;
  if (lagSeconds === 0) return [ok("SHARD_TRIMMED", `nothing waits in ${many}`)];
  const left = duration(Math.max(0, KEPT_SECONDS - lagSeconds));
  const waits = `what comes next is there, in ${many}: the oldest of it is ${duration(lagSeconds)} old, ${left} are left`;
  if (lagSeconds / KEPT_SECONDS <= config.guard.retentionUsed) return [ok("SHARD_TRIMMED", waits)];
  return [
    warn("STREAM_LOST_SOON", waits, "Run a worker before that time is over: docs/operations/stream-retention.md."),
  ];
}

function lossOf({ open, behind }: WatchedShard): readonly Loss[] {
  if (behind.state !== "lost") return [];
  const { arn, entry, shard, place } = open;
  const { table, label } = entry;
  return [{ kind: "shard", arn, shard: shard.id, place, table, label, about: shard.id, gone: behind.how === "gone" }];
}
