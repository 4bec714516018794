// A stream's shards, all pages of them.

import type { DynamoApi, StreamPage } from "../client/api.ts";
import type { ListedShard } from "./shard-graph.ts";

export interface StreamListing extends Pick<StreamPage, "view" | "keyNames" | "disabled"> {
  readonly shards: readonly ListedShard[];
}

/** One complete listing. @throws ServerError `unknown` where the stream is gone; TransientError, ConfigError */
export async function listShards(api: Pick<DynamoApi, "describeStream">, arn: string): Promise<StreamListing> {
  const first = await api.describeStream(arn, {});
  const shards = new Map(first.shards.map((shard) => [shard.id, shard]));
  for (let { next } = first; next !== undefined; ) {
    const page = await api.describeStream(arn, { after: next });
    for (const shard of page.shards) shards.set(shard.id, shard);
    next = page.next;
  }
  return { view: first.view, keyNames: first.keyNames, disabled: first.disabled, shards: [...shards.values()] };
}

/** Those with whose reading one begins: whose parents are not there. */
export function rootsOf(shards: readonly ListedShard[]): readonly string[] {
  const ids = new Set(shards.map(({ id }) => id));
  return shards.filter(({ parent }) => parent === undefined || !ids.has(parent)).map(({ id }) => id);
}
