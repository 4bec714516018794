// Whether this is still the database, and still the log, that the positions are about.

import type { Client, ClientConfig } from "pg";
import { ConfigError, HistoryLostError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import type { SourceContext } from "../../source.ts";
import { sqlState } from "../client/errors.ts";
import { formatLsn, parseLsn } from "../client/lsn.ts";
import { finalOf } from "../client/position.ts";
import { askWalsender, type System } from "../client/walsender.ts";
import { lastPlace } from "./resume.ts";
import { type Created, causeOf } from "./slot-record.ts";

/** @throws HistoryLostError SOURCE_OTHER_CLUSTER */
export function checkCluster(record: Pick<Home, "systemId">, { systemId }: Pick<Home, "systemId">): void {
  if (record.systemId === systemId) return;
  throw new HistoryLostError(
    "SOURCE_OTHER_CLUSTER",
    `the server is the cluster ${systemId}, but the stream comes from ${record.systemId}`,
    {
      foreign: true,
      hint: "Is it a copied configuration? Then give the source another id, or use another bus or NATS account. Was the server restored from a dump or upgraded? Then run --adopt starts over with a new slot and records the gap.",
    },
  );
}

/** Which server and which database it is, as far as a record can be compared with it. */
export interface Home {
  readonly systemId: string;
  readonly database: string;
}

/**
 * Whether the record is about another database: then the stream belongs to whoever writes it, and nothing of it may be read
 * or written from here.
 * @param slotDatabase whose the slot on record is now, where it is there: it goes along when a database is renamed
 * @throws HistoryLostError SOURCE_OTHER_CLUSTER, ConfigError SOURCE_OTHER_DATABASE
 */
export function checkHome(record: Home, home: Home, slotDatabase: string | null | undefined): void {
  checkCluster(record, home);
  const from = slotDatabase ?? record.database;
  if (from === home.database) return;
  throw new ConfigError("SOURCE_OTHER_DATABASE", `the stream comes from the database ${from}, not ${home.database}`, {
    hint: "Give the source another id, or use another bus or NATS account; or set the option url back to that database.",
  });
}

export interface FollowOptions {
  /** A replication connection. */
  readonly client: Client;
  readonly intent: Created;
  readonly system: System;
  /** The end of the stream; undefined when it is empty. */
  readonly stored: Position | undefined;
  /** Where the slot begins. */
  readonly slot: bigint;
  /** It is being taken over: whatever it has is what comes next. */
  readonly adopting: boolean;
  readonly accepts: SourceContext["accepts"];
}

/**
 * The intent on the server's present timeline: in a new history when its log left ours before the end of the stream and
 * that is accepted.
 * @throws HistoryLostError SOURCE_TIMELINE, SOURCE_REWOUND, SOURCE_HISTORY
 */
export async function followLog(options: FollowOptions): Promise<Created> {
  const { client, intent, system, stored, slot, adopting, accepts } = options;
  const { timeline } = system;
  const departure = await findDeparture(client, intent, system, lastPlace(intent, stored));
  if (departure === undefined) return timeline === intent.timeline ? intent : { ...intent, timeline };
  const { error, switchedAt } = departure;
  // Without the place where the logs part nothing of this slot can be told from what is stored.
  if (!accepts("gap") || (switchedAt === undefined && !adopting)) throw error;
  const consistentPoint = formatLsn(switchedAt !== undefined && switchedAt > slot ? switchedAt : slot);
  return { ...intent, timeline, history: intent.history + 1, consistentPoint, cause: causeOf(error, switchedAt) };
}

/** The server's log is not the one that the stream holds. */
interface Departure {
  readonly error: HistoryLostError;
  /** The end of what both have in common; undefined when that is not known. */
  readonly switchedAt: bigint | undefined;
}

/**
 * Compares the log with the last position that the stream has of it.
 * @returns undefined when the server's log goes on from there
 */
async function findDeparture(
  client: Client,
  intent: Created,
  system: System,
  last: Position,
): Promise<Departure | undefined> {
  // The record of a commit begins there: where the common log has ended before, it is not in it.
  const final = finalOf(last);
  if (system.timeline !== intent.timeline) {
    const switchedAt = await timelineEnd(client, system.timeline, intent.timeline);
    if (switchedAt === undefined || final >= switchedAt) {
      const left = switchedAt === undefined ? "elsewhere" : `at ${formatLsn(switchedAt)}`;
      const error = new HistoryLostError(
        "SOURCE_TIMELINE",
        `the server was promoted: its log left ours ${left}, the stream holds it up to ${formatLsn(final)}`,
        {
          hint: "Events in the stream are about commits that no longer exist: run --adopt goes on in a new history and names them.",
        },
      );
      return { error, switchedAt };
    }
  }
  if (final >= parseLsn(system.end)) {
    const error = new HistoryLostError(
      "SOURCE_REWOUND",
      `the server's log ends at ${system.end}, but the stream holds it up to ${formatLsn(final)}`,
      {
        hint: "Was the server set back to an earlier state? Then run --adopt starts over with a new slot and records the gap.",
      },
    );
    return { error, switchedAt: undefined };
  }
  return undefined;
}

const FILE_MISSING = "58P01";

/** Where the server's log left the record's; undefined where it did not, or that is not known. */
export async function partedAt(
  client: ClientConfig,
  system: System,
  { systemId, timeline }: Pick<Created, "systemId" | "timeline">,
): Promise<bigint | undefined> {
  if (systemId !== system.systemId) return undefined;
  return askWalsender(client, (walsender) => timelineEnd(walsender, system.timeline, timeline));
}

/** Where a timeline ended that the current one came from; undefined when it did not, or the server forgot. */
async function timelineEnd(client: Client, current: number, earlier: number): Promise<bigint | undefined> {
  if (current <= earlier) return undefined;
  const history = await client
    .query<{ content: string | Buffer }>(`TIMELINE_HISTORY ${current}`)
    .catch((error: unknown) => {
      if (sqlState(error) !== FILE_MISSING) throw error;
      return { rows: [] };
    });
  for (const line of String(history.rows[0]?.content ?? "").split("\n")) {
    const [, timeline, end] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line) ?? [];
    if (Number(timeline) === earlier && end !== undefined) return parseLsn(end);
  }
  return undefined;
}
