// What a DynamoDB source must not forget: which streams it reads and where it has begun with them, and what of them is lost.

import { z } from "zod";
import { ConfigError, HistoryLostError } from "../../errors.ts";
import type { ConnectorState } from "../source.ts";
import type { DynamoApi, TableFacts } from "./client/api.ts";
import { ServerError } from "./client/errors.ts";
import type { ShardPlace, Step } from "./client/position.ts";
import type { DynamoConfig } from "./options/config.ts";
import { tableFilter } from "./options/table-pattern.ts";

const place = z.object({ number: z.string().optional(), step: z.int() });

const lostSchema = z.object({
  code: z.string(),
  reason: z.string(),
  /** Where its markers stand. */
  place,
  /** When it was put on record, RFC 3339. */
  at: z.string().optional(),
  /** Nothing of the shard is left. */
  gone: z.boolean(),
  /** For the marker of the gap. */
  details: z.record(z.string(), z.unknown()),
});

const streamSchema = z.object({
  table: z.string(),
  label: z.string(),
  /** The server's own name of the table's life. */
  tableId: z.string().optional(),
  /** When the source began with it, RFC 3339. */
  since: z.string(),
  /** With what: at a first start with now, or the oldest that there was; later always with the stream's own beginning. */
  begun: z.enum(["now", "earliest", "start"]),
  /** Shards with which it began. */
  roots: z.array(z.string()),
  /** Shards that are never read. */
  over: z.array(z.string()),
  /** Shards that were read to their ends, and have left the checkpoint; each with one behind it that the stream has something of. */
  done: z.record(z.string(), z.string()).default({}),
  /** Of shards, the newest loss. */
  lost: z.record(z.string(), lostSchema),
  /** Read to its end, which is acknowledged: what is read of its table is its next stream. */
  ended: z.boolean(),
  /** Its table lacks a tag that the configuration asks for. */
  untagged: z.boolean().optional(),
});

const schema = z.object({
  kind: z.literal("dynamodb"),
  /** `<region>:<account>`, of the tables' own names. */
  home: z.string(),
  /** By their ARNs. */
  streams: z.record(z.string(), streamSchema),
});

export type LostRecord = z.infer<typeof lostSchema>;
export type StreamEntry = z.infer<typeof streamSchema>;
export type SourceRecord = z.infer<typeof schema>;

/** Without streams of tables that the configuration no longer names, or that lack its tags: those stay on record, should that change again. */
export function wantedStreams(
  record: SourceRecord,
  { tables, outbox }: Pick<DynamoConfig, "tables" | "outbox">,
): SourceRecord {
  const isNamed = tableFilter(tables);
  const streams = Object.entries(record.streams).filter(
    ([, { table, untagged }]) => untagged !== true && (isNamed(table) || table === outbox?.table),
  );
  return { ...record, streams: Object.fromEntries(streams) };
}

/** The stream of the same table that is read behind this one, where it is on record. */
export function streamBehind(
  { streams }: Pick<SourceRecord, "streams">,
  { table, label }: Pick<StreamEntry, "table" | "label">,
): { readonly arn: string; readonly entry: StreamEntry } | undefined {
  const [first] = Object.entries(streams)
    .filter(([, entry]) => entry.table === table && entry.label > label)
    .sort(([, a], [, b]) => (a.label < b.label ? -1 : 1));
  return first && { arn: first[0], entry: first[1] };
}

/** Whether one of the same table is to be read before this one. */
export function waitsForStream(
  { streams }: Pick<SourceRecord, "streams">,
  { table, label }: Pick<StreamEntry, "table" | "label">,
): boolean {
  return Object.values(streams).some((entry) => entry.table === table && entry.label < label && !entry.ended);
}

/** With what is known of tables' tags by now; the same object where nothing differs. @param lacks whether a table lacks a tag */
export function withTags(record: SourceRecord, lacks: (table: string) => boolean): SourceRecord {
  const streams = Object.entries(record.streams);
  if (streams.every(([, { table, untagged = false }]) => untagged === lacks(table))) return record;
  const marked = streams.map(([arn, entry]) => [arn, { ...entry, untagged: lacks(entry.table) }]);
  return { ...record, streams: Object.fromEntries(marked) };
}

export function readRecord(saved: Readonly<Record<string, unknown>> | undefined): SourceRecord | undefined {
  return saved === undefined ? undefined : schema.parse(saved);
}

export async function loadRecord(state: ConnectorState): Promise<SourceRecord | undefined> {
  return readRecord(await state.load());
}

/** `<region>:<account>` of `arn:aws:dynamodb:<region>:<account>:table/…`. */
export function homeOf(arn: string): string {
  const [, , , region = "", account = ""] = arn.split(":");
  return `${region}:${account}`;
}

export function placeOf({ number, step }: z.infer<typeof place>): ShardPlace {
  return { number, step: step as Step };
}

/**
 * Whether a record is about these tables.
 * @throws HistoryLostError SOURCE_OTHER_DATABASE; ConfigError TABLE_NOT_FOUND where nothing tells; ServerError, TransientError while it cannot be asked
 */
export async function checkHome(
  api: Pick<DynamoApi, "describeStream">,
  record: SourceRecord,
  tables: readonly TableFacts[],
): Promise<void> {
  const [known] = tables;
  const arns = Object.keys(record.streams);
  if (arns.length === 0) return;
  if (known !== undefined && homeOf(known.arn) !== record.home) throw otherDatabase(homeOf(known.arn), record.home);
  if (tables.some(({ stream }) => stream !== undefined && arns.includes(stream.arn))) return;
  // Its streams end a day after they were switched off; a table keeps its id until it is deleted.
  const ids = new Set(Object.values(record.streams).map(({ tableId }) => tableId));
  if (tables.some(({ id }) => id !== undefined && ids.has(id))) return;
  for (const arn of arns) if (await isThere(api, arn)) return;
  if (known !== undefined) throw otherDatabase("one without any of its tables and streams", record.home);
  throw new ConfigError(
    "TABLE_NOT_FOUND",
    `none of the source's tables is there, nor a stream of them: they were read in ${record.home}`,
    {
      hint: "Correct the region, the profile or the endpoint. Were the tables deleted, take the source out of the configuration.",
    },
  );
}

async function isThere(api: Pick<DynamoApi, "describeStream">, arn: string): Promise<boolean> {
  try {
    await api.describeStream(arn, {});
    return true;
  } catch (error) {
    if (error instanceof ServerError && error.refusal === "unknown") return false;
    throw error;
  }
}

function otherDatabase(is: string, was: string): HistoryLostError {
  return new HistoryLostError(
    "SOURCE_OTHER_DATABASE",
    `the tables are those of another DynamoDB (${is}) than what the stream comes from (${was})`,
    {
      foreign: true,
      hint: "Is it a copied configuration, or another region, account or profile? Then give the source another id, or use another bus or NATS account. Else run --adopt starts over from now and records the gap.",
    },
  );
}
