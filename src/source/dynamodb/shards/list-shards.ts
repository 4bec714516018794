// A stream's shards, all pages of them.

import type { DynamoApi, StreamPage } from "../client/api.ts";
import { ServerError } from "../client/errors.ts";
import type { ListedShard } from "./shard-graph.ts";

export interface StreamListing extends Pick<StreamPage, "view" | "keyNames" | "disabled"> {
  readonly shards: readonly ListedShard[];
}

/** How often a listing is begun whose next page the server does not know. */
const BEGINNINGS = 3;

/**
 * One complete listing: of one that broke off nothing is used.
 * @throws ServerError `unknown` where the stream is gone; TransientError, ConfigError
 */
export async function listShards(api: Pick<DynamoApi, "describeStream">, arn: string): Promise<StreamListing> {
  for (let left = BEGINNINGS; ; left--) {
    const first = await api.describeStream(arn, {});
    const shards = await listFurther(api, arn, first);
    if (shards !== undefined)
      return { view: first.view, keyNames: first.keyNames, disabled: first.disabled, shards: [...shards.values()] };
    // It has just named the shard that the page was to go on behind: the stream is there.
    if (left === 1) throw new ServerError("failed", "a page of a stream's shards cannot be had: its beginning is gone");
  }
}

/** Undefined where the server does not know the shard that a page goes on behind. */
async function listFurther(
  api: Pick<DynamoApi, "describeStream">,
  arn: string,
  first: StreamPage,
): Promise<ReadonlyMap<string, ListedShard> | undefined> {
  const shards = new Map(first.shards.map((shard) => [shard.id, shard]));
  for (let { next } = first; next !== undefined; ) {
    try {
      const page = await api.describeStream(arn, { after: next });
      for (const shard of page.shards) shards.set(shard.id, shard);
      next = page.next;
    } catch (error) {
      // What it goes on behind may be dropped between two pages.
      if (error instanceof ServerError && (error.refusal === "unknown" || error.refusal === "invalid"))
        return undefined;
      throw error;
    }
  }
  return shards;
}

/** Those with whose reading one begins: whose parents are not there. */
export function rootsOf(shards: readonly ListedShard[]): readonly string[] {
  const ids = new Set(shards.map(({ id }) => id));
  return shards.filter(({ parent }) => parent === undefined || !ids.has(parent)).map(({ id }) => id);
}
