// Once something is found lost: what else is, so that one decision is about all of it.

import type { Clock } from "../../../clock.ts";
import type { DynamoApi } from "../client/api.ts";
import type { ListedShard } from "../shards/shard-graph.ts";
import type { Loss, ShardLoss, StreamLoss } from "./losses.ts";
import { isTrimmed, oldestNumber } from "./shard-reader.ts";
import { StreamFollower } from "./stream-follower.ts";

export interface ConcludingOptions {
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly losses: readonly Loss[];
  /** Of streams of which something is lost. */
  readonly followers: readonly StreamFollower[];
}

/** A child that was made just before a stream was switched off may be listed later than that. */
const LAST_LOOK_MS = 2_000;

/** These, what is lost of the shards behind them, and the streams that come next. @throws ServerError, TransientError, ConfigError */
export async function concludeLosses(options: ConcludingOptions): Promise<readonly Loss[]> {
  const { api, clock, signal, followers } = options;
  const losses = [...options.losses];
  for (const follower of followers) {
    const { arn, table, label } = follower;
    const said = new Set(losses.flatMap((loss) => (loss.kind === "shard" && loss.arn === arn ? [loss.shard] : [])));
    const held = follower.held().filter(({ id }) => !said.has(id));
    losses.push(...(await trimmedOf(api, { arn, table, label }, held)));
    if (!follower.isDone) continue;
    await clock.sleep(LAST_LOOK_MS, signal);
    await follower.open();
    const next = follower.isDone && !signal.aborted ? await follower.next() : undefined;
    if (next !== undefined) losses.push(next);
  }
  const concluded: Loss[] = [];
  for (const loss of losses) {
    if (loss.kind === "stream") concluded.push(...(await withBeginning(options, loss)));
    else concluded.push(loss.gone ? loss : { ...loss, resume: await oldestNumber(api, loss.arn, loss.shard) });
  }
  return concluded;
}

interface StreamName {
  readonly arn: string;
  readonly table: string;
  readonly label: string;
}

/** Those of some shards of which the source has nothing, and the server no longer all. */
async function trimmedOf(
  api: DynamoApi,
  of: StreamName,
  shards: readonly ListedShard[],
): Promise<readonly ShardLoss[]> {
  const losses: ShardLoss[] = [];
  for (const shard of shards) {
    if (!(await isTrimmed(api, of.arn, shard))) continue;
    losses.push({ kind: "shard", ...of, shard: shard.id, place: undefined, about: shard.id, gone: false });
  }
  return losses;
}

/** With what of the next stream is lost already: the shard that names the loss of the stream says of itself, too. */
async function withBeginning(
  { api, clock, signal }: ConcludingOptions,
  loss: StreamLoss,
): Promise<readonly [StreamLoss, ...ShardLoss[]]> {
  const { table, next } = loss;
  const { arn, label, first } = next;
  const found: ShardLoss[] = [];
  const ready: ListedShard[] = [];
  const follower = new StreamFollower({
    ...{ api, clock, signal, arn, table, label, roots: [], over: [], places: new Map() },
    onReady: (shard) => ready.push(shard),
    onLost: (one) => {
      if (one.kind === "shard") found.push(one);
    },
    placeOf: () => undefined,
  });
  await follower.open();
  const said = new Set(found.map(({ shard }) => shard));
  const unsaid = [...ready, ...follower.held()].filter(({ id }) => !said.has(id));
  found.push(...(await trimmedOf(api, { arn, table, label }, unsaid)));
  const [own] = found.filter(({ shard }) => shard === first);
  const others: ShardLoss[] = [];
  for (const one of found) if (one !== own) others.push({ ...one, resume: await oldestNumber(api, arn, one.shard) });
  if (own === undefined) return [loss, ...others];
  const resume = await oldestNumber(api, arn, first);
  return [{ ...loss, next: { ...next, about: own.about, resume } }, ...others];
}
