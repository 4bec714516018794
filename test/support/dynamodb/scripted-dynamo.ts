// A DynamoDB that a test writes down, answering in the process by an injected clock: tables, their streams, and the life of shards.

import type { Clock } from "../../../src/clock.ts";
import type { DynamoApi, From, KeyAttribute, RecordsPage, ViewType } from "../../../src/source/dynamodb/client/api.ts";
import { ServerError } from "../../../src/source/dynamodb/client/errors.ts";
import type { RawRecord, StreamRecord } from "../../../src/source/dynamodb/decode/record.ts";
import type { ListedShard } from "../../../src/source/dynamodb/shards/shard-graph.ts";

/** By the endpoints that configurations call them by. */
export const scriptedDynamos = new Map<string, ScriptedDynamo>();

interface Shard extends ListedShard {
  readonly stream: Stream;
  readonly records: RawRecord[];
  end: boolean;
  /** How many of its records are no longer kept. */
  trimmed: number;
  gone: boolean;
}

interface Stream {
  readonly arn: string;
  readonly label: string;
  readonly table: string;
  readonly shards: Shard[];
  disabled: boolean;
}

const PAGE_BYTES = 1_000_000;
const ITERATOR_LIFE_MS = 15 * 60_000;

export class ScriptedDynamo {
  readonly name: string;
  readonly clock: Clock;
  readonly tables = new Map<string, Stream | undefined>();
  /** Of tables, what they are tagged with. */
  readonly tags = new Map<string, Readonly<Record<string, string>>>();
  /** Of tables, the attribute by which items expire. */
  readonly expiry = new Map<string, string>();
  /** Of tables, the key attributes where they are not one text, `id`. */
  readonly keys = new Map<string, readonly KeyAttribute[]>();
  /** Of tables, what their streams carry where that is not all. */
  readonly views = new Map<string, ViewType>();
  readonly streams: Stream[] = [];
  sentBytes = 0;
  /** Shards on a page. */
  pageShards = 100;
  /** Whether a closing page has the shard's last records, or comes alone. */
  closesWithRecords = true;
  /** Whether it takes notice of the filter for children. */
  knowsChildren = true;
  /** Called before each question; what it throws is the answer. */
  before: (operation: keyof DynamoApi, subject: string) => void = () => {};
  readonly asked = new Map<string, number>();
  #cuts = 0;
  #number = 10n ** 20n;
  #labels = 0;

  constructor(name: string, clock: Clock) {
    this.name = name;
    this.clock = clock;
    scriptedDynamos.set(name, this);
  }

  createTable(table: string, options: { readonly stream?: boolean } = {}): void {
    this.tables.set(table, undefined);
    if (options.stream !== false) this.enable(table);
  }

  enable(table: string): Stream {
    const label = `2026-01-01T00:00:00.${String(++this.#labels).padStart(3, "0")}`;
    const arn = `arn:aws:dynamodb:eu-west-1:${this.name}:table/${table}/stream/${label}`;
    const stream: Stream = { arn, label, table, shards: [], disabled: false };
    this.streams.push(stream);
    this.tables.set(table, stream);
    this.#open(stream, undefined);
    return stream;
  }

  disable(table: string): void {
    const stream = this.streamOf(table);
    stream.disabled = true;
    for (const shard of stream.shards) shard.end = true;
  }

  /** All open shards are closed, and have so many children each. */
  roll(table: string, children = 1): void {
    const stream = this.streamOf(table);
    for (const shard of stream.shards.filter(({ end }) => !end)) {
      shard.end = true;
      for (let nth = 0; nth < children; nth++) this.#open(stream, shard.id);
    }
  }

  put(table: string, id: string, text = "", more: Partial<StreamRecord> = {}): void {
    const open = this.streamOf(table).shards.filter(({ end }) => !end);
    const shard = open[hashOf(id) % open.length];
    if (shard === undefined) throw new Error(`${table} has no open shard`);
    const seconds = Math.floor(this.clock.wall() / 1000);
    const Keys = { id: { S: id } };
    const dynamodb = { ApproximateCreationDateTime: seconds, Keys, NewImage: { ...Keys, text: { S: text } }, ...more };
    shard.records.push({ eventName: "INSERT", dynamodb: { ...dynamodb, SequenceNumber: this.#next() } });
  }

  /** What the table's shards hold by now is no longer kept. @param gone closed ones whole */
  trim(table: string, gone = false): void {
    for (const stream of this.streams.filter((one) => one.table === table))
      for (const shard of stream.shards) {
        shard.trimmed = shard.records.length;
        shard.gone ||= gone && shard.end;
      }
  }

  streamOf(table: string): Stream {
    const stream = this.tables.get(table);
    if (stream === undefined) throw new Error(`${table} has no stream`);
    return stream;
  }

  /** All connections break. */
  cut(): void {
    this.#cuts++;
  }

  connect(): DynamoApi {
    const cuts = this.#cuts;
    const ask = async <T>(operation: keyof DynamoApi, subject: string, answer: () => T): Promise<T> => {
      this.asked.set(operation, (this.asked.get(operation) ?? 0) + 1);
      if (cuts !== this.#cuts) throw new ServerError("away", "the connection is cut");
      this.before(operation, subject);
      return answer();
    };
    return {
      describeTable: (table) =>
        ask("describeTable", table, () => {
          if (!this.tables.has(table)) throw new ServerError("unknown", "no such table");
          const stream = this.tables.get(table);
          const arn = `arn:aws:dynamodb:eu-west-1:${this.name}:table/${table}`;
          return { table, keys: this.#keysOf(table), id: table, arn, stream, enabled: stream?.disabled === false };
        }),
      listTables: () => ask("listTables", "", () => ({ tables: [...this.tables.keys()], next: undefined })),
      tags: (arn) =>
        ask("tags", arn, () => ({ tags: this.tags.get(arn.split("/").at(-1) ?? "") ?? {}, next: undefined })),
      expiry: (table) => ask("expiry", table, () => this.expiry.get(table)),
      describeStream: (arn, { after, childrenOf }) =>
        ask("describeStream", arn, () => {
          const stream = this.#stream(arn);
          const there = stream.shards.filter(
            ({ gone, parent }) => !gone && (!this.knowsChildren || childrenOf === undefined || parent === childrenOf),
          );
          const from = after === undefined ? 0 : there.findIndex(({ id }) => id === after) + 1;
          const page = there.slice(from, from + this.pageShards);
          return {
            view: this.views.get(stream.table) ?? "NEW_AND_OLD_IMAGES",
            keyNames: this.#keysOf(stream.table).map(({ name }) => name),
            disabled: stream.disabled,
            shards: page.map(({ id, parent, start, end }) => ({ id, parent, start, closed: end })),
            next: from + page.length < there.length ? page.at(-1)?.id : undefined,
          };
        }),
      iterator: (arn, id, from) => ask("iterator", id, () => this.#iterator(this.#shard(arn, id), from)),
      records: (iterator) => ask("records", iterator, () => this.#records(iterator)),
      close: () => {},
    };
  }

  #iterator(shard: Shard, from: From): string {
    const numbers = shard.records.map(({ dynamodb }) => BigInt(dynamodb.SequenceNumber));
    const issue = (at: number): string => JSON.stringify([shard.stream.arn, shard.id, at, this.clock.now()]);
    if (!("number" in from)) return issue(from.at === "horizon" ? shard.trimmed : shard.records.length);
    const number = BigInt(from.number);
    const oldest = numbers[shard.trimmed - 1];
    if (oldest !== undefined && number <= oldest && !(from.at === "behind" && number === oldest))
      throw new ServerError("trimmed", "it is older than what is kept");
    const at = numbers.findIndex((one) => (from.at === "number" ? one >= number : one > number));
    return issue(at < 0 ? numbers.length : at);
  }

  #records(iterator: string): RecordsPage {
    const [arn, id, at, issuedAt] = JSON.parse(iterator) as [string, string, number, number];
    if (this.clock.now() - issuedAt > ITERATOR_LIFE_MS) throw new ServerError("expired", "the iterator has expired");
    const shard = this.#shard(arn, id);
    if (at < shard.trimmed) throw new ServerError("trimmed", "it is older than what is kept");
    const records: RawRecord[] = [];
    let bytes = 0;
    for (const record of shard.records.slice(at, at + 1000)) {
      bytes += JSON.stringify(record).length;
      if (records.length > 0 && bytes > PAGE_BYTES) break;
      records.push(record);
    }
    this.sentBytes += bytes;
    const isLast = shard.end && at + records.length >= shard.records.length;
    const ends = isLast && (this.closesWithRecords || records.length === 0);
    const next = ends ? undefined : JSON.stringify([arn, id, at + records.length, this.clock.now()]);
    return { records, bytes, next };
  }

  #keysOf(table: string): readonly KeyAttribute[] {
    return this.keys.get(table) ?? [{ name: "id", type: "S" }];
  }

  #stream(arn: string): Stream {
    const stream = this.streams.find((one) => one.arn === arn);
    if (stream === undefined) throw new ServerError("unknown", "no such stream");
    return stream;
  }

  #shard(arn: string, id: string): Shard {
    const shard = this.#stream(arn).shards.find((one) => one.id === id && !one.gone);
    if (shard === undefined) throw new ServerError("unknown", "no such shard");
    return shard;
  }

  #open(stream: Stream, parent: string | undefined): void {
    const start = this.#next();
    const id = `shardId-${start}`;
    stream.shards.push({
      ...{ id, parent, start, closed: false, end: false },
      ...{ stream, records: [], trimmed: 0, gone: false },
    });
  }

  #next(): string {
    this.#number += 1n;
    return String(this.#number);
  }
}

function hashOf(text: string): number {
  let hash = 0;
  for (const letter of text) hash = (hash * 31 + letter.charCodeAt(0)) % 65_521;
  return hash;
}
