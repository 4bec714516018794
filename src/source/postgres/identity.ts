// Whether this is still the database, and still the log, that the positions are about.

import type { Client } from "pg";
import { HistoryLostError } from "../../errors.ts";
import { formatLsn, parseLsn } from "./lsn.ts";
import type { Created } from "./memory.ts";

export interface System {
  readonly systemId: string;
  readonly timeline: number;
  /** The end of what the server has written. */
  readonly end: bigint;
}

const START_OVER = "Positions cannot be compared any more: start over with a new slot and a backfill.";

/** Works on a replication connection only. */
export async function identifySystem(client: Client): Promise<System> {
  const { rows } = await client.query<{ systemid: string; timeline: number | string; xlogpos: string }>(
    "IDENTIFY_SYSTEM",
  );
  const { systemid, timeline, xlogpos } = rows[0] as (typeof rows)[number];
  return { systemId: systemid, timeline: Number(timeline), end: parseLsn(xlogpos) };
}

/** @throws HistoryLostError SOURCE_OTHER_CLUSTER */
export function checkCluster(intent: Created, system: System): void {
  if (system.systemId === intent.systemId) return;
  const message = `the server is the cluster ${system.systemId}, but the stream comes from ${intent.systemId}`;
  throw new HistoryLostError("SOURCE_OTHER_CLUSTER", message, {
    hint: `Was it restored from a dump or upgraded? ${START_OVER}`,
  });
}

/**
 * @param start where the stream would go on
 * @returns the timeline to remember
 * @throws HistoryLostError SOURCE_TIMELINE, SOURCE_REWOUND
 */
export async function checkLog(client: Client, intent: Created, system: System, start: bigint): Promise<number> {
  if (system.timeline !== intent.timeline) {
    const end = await timelineEnd(client, system.timeline, intent.timeline);
    if (end === undefined || start > end) {
      const left = end === undefined ? "elsewhere" : `at ${formatLsn(end)}`;
      throw new HistoryLostError(
        "SOURCE_TIMELINE",
        `the server was promoted: its log left ours ${left}, the stream holds it up to ${formatLsn(start)}`,
        { hint: `Events in the stream are about commits that no longer exist. ${START_OVER}` },
      );
    }
  }
  if (start > system.end) {
    throw new HistoryLostError(
      "SOURCE_REWOUND",
      `the server's log ends at ${formatLsn(system.end)}, but the stream holds it up to ${formatLsn(start)}`,
      { hint: `Was the server set back to an earlier state? ${START_OVER}` },
    );
  }
  return system.timeline;
}

/** Where a timeline ended that the current one came from; undefined when it did not. */
async function timelineEnd(client: Client, current: number, earlier: number): Promise<bigint | undefined> {
  if (current < earlier) return undefined;
  const { rows } = await client.query<{ content: string | Buffer }>(`TIMELINE_HISTORY ${current}`);
  for (const line of String(rows[0]?.content ?? "").split("\n")) {
    const [, timeline, end] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line) ?? [];
    if (Number(timeline) === earlier && end !== undefined) return parseLsn(end);
  }
  return undefined;
}
