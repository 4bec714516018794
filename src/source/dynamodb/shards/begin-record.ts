// With which shards a source begins: at a first start, and with tables that have come since.

import { ConfigError, type HistoryLostError } from "../../../errors.ts";
import type { DynamoApi, TableFacts } from "../client/api.ts";
import { Step } from "../client/position.ts";
import type { DynamoConfig } from "../options/config.ts";
import { homeOf, type LostRecord, type SourceRecord, type StreamEntry } from "../stream-record.ts";
import { listShards, rootsOf } from "./list-shards.ts";

export interface Beginning {
  readonly api: DynamoApi;
  readonly config: Pick<DynamoConfig, "start">;
  readonly tables: readonly TableFacts[];
  /** RFC 3339. */
  readonly now: string;
  /** What is on record: tables that it has are as they are. */
  readonly saved?: SourceRecord;
  /** What the beginning stands behind. */
  readonly lost?: HistoryLostError;
}

/** The same object where nothing has come. @throws ConfigError, ServerError, TransientError */
export async function beginRecord({ api, config, tables, now, saved, lost }: Beginning): Promise<SourceRecord> {
  let streams = saved?.streams ?? {};
  const known = new Set(Object.values(streams).map(({ table }) => table));
  for (const { table, id, stream } of tables) {
    // Another stream of a table that is known begins behind the one before.
    if (stream === undefined || known.has(table)) continue;
    const { shards } = await listShards(api, stream.arn);
    // Of a table that has come since what its stream still holds is read: nothing of it was there to be lost before.
    const begun = saved === undefined ? config.start : "earliest";
    const parents = new Set(shards.map(({ parent }) => parent));
    const closed = shards.filter((shard) => shard.closed || parents.has(shard.id)).map(({ id }) => id);
    const over = begun === "now" ? closed : [];
    const roots = begun === "now" ? shards.map(({ id }) => id).filter((id) => !over.includes(id)) : rootsOf(shards);
    const entry: StreamEntry = {
      table,
      label: stream.label,
      ...(id === undefined ? {} : { tableId: id }),
      since: now,
      begun,
      roots: [...roots],
      over,
      done: {},
      lost: {},
      ended: false,
    };
    streams = { ...streams, [stream.arn]: lost === undefined ? entry : behind(entry, lost) };
  }
  if (saved !== undefined) return streams === saved.streams ? saved : { ...saved, streams };
  const [first] = tables;
  if (first === undefined) {
    throw new ConfigError("TABLE_NOT_FOUND", "no table is there that the source could read", {
      hint: "Correct tables, the region or the endpoint.",
    });
  }
  return { kind: "dynamodb", home: homeOf(first.arn), streams };
}

/** The first of its shards says what is lost. */
function behind(entry: StreamEntry, { code, message }: HistoryLostError): StreamEntry {
  const [first] = entry.roots;
  if (first === undefined) return entry;
  const lost: LostRecord = {
    ...{ code, reason: message, gone: false, place: { step: Step.began } },
    details: { table: entry.table, stream: entry.label },
  };
  return { ...entry, lost: { [first]: lost } };
}
