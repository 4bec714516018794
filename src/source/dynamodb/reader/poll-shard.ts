// Asks for the records of one shard, page behind page, until its end: in its turn among the others, at its own pace, and with
// patience where the server refuses. Says what is lost of it.

import type { Clock } from "../../../clock.ts";
import { ServerError } from "../client/errors.ts";
import { restBehind } from "../client/patient-api.ts";
import type { ListedShard } from "../shards/shard-graph.ts";
import type { ShardLoss } from "./losses.ts";
import { toBeat } from "./pace.ts";
import type { PageQueue } from "./page-queue.ts";
import { ShardLost, type ShardPage } from "./shard-reader.ts";
import type { ShardReading } from "./shard-reading.ts";
import type { StreamFollower } from "./stream-follower.ts";

export interface ShardPolling {
  readonly reading: ShardReading;
  readonly shard: ListedShard;
  /** Of its stream. */
  readonly follower: StreamFollower;
  /** Whether it may be gone before it is read, and still be listed: that the server does not know it is its end then. */
  readonly mayBeOver: boolean;
  readonly queue: Pick<PageQueue<unknown, unknown>, "inTurn">;
  readonly clock: Clock;
  /** Between 0 and 1. */
  readonly random: (() => number) | undefined;
  readonly signal: AbortSignal;
  /** A page with records, or its end, has come. */
  readonly arrived: (page: ShardPage) => void;
  /** The server has said what there is of it, or that it is lost; called each time. */
  readonly answered: () => void;
  /** The server no longer has what comes next. */
  readonly lost: (loss: ShardLoss) => void;
}

/** Of a server that fails, or does not answer, in a row: some ten seconds. */
export const TRIES = 8;
const NOTHING: ShardPage = { records: [], bytes: 0, ended: true };

/** Resolves at its end, when it is lost, or at the signal. @throws ServerError once the server has refused `TRIES` times in a row; what is no refusal */
export async function pollShard(polling: ShardPolling): Promise<void> {
  const { reading, shard, follower, mayBeOver, queue, clock, random, signal, arrived, answered } = polling;
  let [failures, refusals] = [0, 0];
  while (!signal.aborted) {
    try {
      const page = await queue.inTurn(reading.expectedBytes, () => fetchPage(polling));
      [failures, refusals] = [0, 0];
      answered();
      if (page === undefined || page.ended) return;
      const answer = { ...page, records: page.records.length, closed: follower.isClosed(shard) };
      await clock.sleep(toBeat(reading.pacer.next(answer), clock.now()), signal);
    } catch (error) {
      if (error instanceof ShardLost && (await isLost(polling, error))) return;
      const refused = error instanceof ShardLost ? error.cause : error;
      if (!(refused instanceof ServerError)) throw refused;
      // Who is throttled waits, for as long as it takes.
      if (refused.refusal === "throttled") reading.throttledSince ??= clock.now();
      else if (++failures >= TRIES) {
        // Some servers let a number be asked for that they have dropped, and say so only of its records.
        if (refused.refusal === "trimmed") await isLost(polling, new ShardLost("trimmed", refused));
        else if (refused.refusal === "unknown" && mayBeOver) arrived(NOTHING);
        else throw refused;
        return;
      }
      await clock.sleep(restBehind(++refusals, random), signal);
    }
  }
}

async function fetchPage({ reading, clock, signal, arrived }: ShardPolling): Promise<ShardPage | undefined> {
  if (signal.aborted) return undefined;
  const askedAt = clock.now();
  const page = await reading.reader.next();
  if (signal.aborted) return undefined;
  reading.fetch(page, askedAt);
  if (page.records.length > 0 || page.ended) arrived(page);
  return page;
}

/** Whether it is so, on a second look. */
async function isLost({ reading, follower, lost, answered }: ShardPolling, { how }: ShardLost): Promise<boolean> {
  const { arn, id: shard } = reading;
  const { table, label } = follower;
  if (how === "gone") {
    if (!(await follower.isGone(shard))) return false;
  } else {
    follower.hold();
    lost({ kind: "shard", arn, shard, place: reading.fetchedPlace, table, label, about: shard, gone: false });
  }
  answered();
  return true;
}
