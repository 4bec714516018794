// What DynamoDB does with the shards of a stream by itself: they split under load, and each is followed by another one now and then.

import { realClock } from "../../clock.ts";
import type { DynamoDouble } from "../../dev/dynamodb/dynamo-double.ts";
import { upTo } from "../shop-database.ts";

/** DynamoDB takes hours for what is shown here in seconds. */
const EVERY_MS = 700;
const MOST_SHARDS = 4;

/** Lets some shard of some table split, or be followed, until the signal. */
export async function liveOn({ state, life }: DynamoDouble, signal: AbortSignal): Promise<void> {
  for (;;) {
    await realClock.sleep(EVERY_MS, signal);
    if (signal.aborted) return;
    const tables = [...state.tables.values()].filter(({ stream }) => stream?.disabled === false);
    const table = tables[upTo(tables.length) - 1];
    const open = table?.stream?.open() ?? [];
    const shard = open[upTo(open.length) - 1];
    if (table === undefined || shard === undefined) continue;
    life.roll(table.name, { shard: shard.id, children: open.length < MOST_SHARDS ? 2 : 1 });
  }
}
