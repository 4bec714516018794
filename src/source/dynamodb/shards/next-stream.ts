// Which stream of a table comes behind one that was switched off.

import { MillraceError } from "../../../errors.ts";
import type { DynamoApi } from "../client/api.ts";
import { ifUnknown, ServerError } from "../client/errors.ts";
import { listShards, rootsOf } from "./list-shards.ts";

export interface NextStream {
  readonly arn: string;
  readonly label: string;
  /** The server's own name of the table's life, where that stream is its newest. */
  readonly tableId?: string | undefined;
  /** Shards that have no parent. */
  readonly roots: readonly string[];
  /** One of those with which its reading begins. */
  readonly first: string;
}

type StreamApi = Pick<DynamoApi, "describeStream" | "describeTable" | "listStreams">;
type StreamName = Pick<NextStream, "arn" | "label" | "tableId">;

/** Undefined while there is none, or it has no shards yet. @throws ServerError, TransientError, ConfigError */
export async function nextStream(
  api: StreamApi,
  last: StreamName & { readonly table: string },
): Promise<NextStream | undefined> {
  for (const { arn, label, tableId } of await laterStreams(api, last)) {
    const shards = (await listShards(api, arn).catch(ifUnknown))?.shards ?? [];
    const [oldest] = rootsOf(shards);
    if (oldest === undefined) continue;
    const roots = shards.filter(({ parent }) => parent === undefined).map(({ id }) => id);
    return { arn, label, tableId, roots, first: roots[0] ?? oldest };
  }
  return undefined;
}

/** Each time that a stream is switched on it is another one, with a later label; of the oldest first. */
async function laterStreams(
  api: StreamApi,
  { table, arn, label }: StreamName & { readonly table: string },
): Promise<readonly StreamName[]> {
  const of = await api.describeTable(table).catch(ifUnknown);
  const newest = of?.stream && { ...of.stream, tableId: of.id };
  const streams = new Map<string, StreamName>((await listed(api, table)).map((stream) => [stream.arn, stream]));
  if (newest !== undefined) streams.set(newest.arn, newest);
  return [...streams.values()]
    .filter((stream) => stream.arn !== arn && stream.label > label)
    .sort((a, b) => (a.label < b.label ? -1 : 1));
}

/** None where the worker may not ask: the table names its newest one. */
async function listed(api: StreamApi, table: string): Promise<readonly StreamName[]> {
  const streams: StreamName[] = [];
  try {
    for (let after: string | undefined; ; ) {
      const page = await api.listStreams(table, after);
      streams.push(...page.streams);
      after = page.next;
      if (after === undefined) return streams;
    }
  } catch (error) {
    if (error instanceof MillraceError && error.code === "PERMISSION_MISSING") return [];
    if (error instanceof ServerError && error.refusal === "unknown") return [];
    throw error;
  }
}
