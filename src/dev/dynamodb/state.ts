// What the double holds: tables, streams and a count of sequence numbers; and how a change gets into a stream. All pure but for its clock.

import { createHash } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { DynamoFault, notFound } from "./fault.ts";
import { type ChangeRecord, KEY_SPACE, placeOfKey, Shard, Stream, type ViewType } from "./streams.ts";
import { type ItemKey, Table } from "./tables.ts";
import { type Item, isSameItem, sizeOfItem } from "./values.ts";

export interface DynamoSettings {
  region: string;
  account: string;
  /** Shards on a page of DescribeStream, at most. */
  pageShards: number;
  /** Tables on a page of ListTables, at most. */
  pageTables: number;
  /** Whether a closing page has the shard's last records, or comes alone. */
  closesWithRecords: boolean;
  /** Whether the filter for children is taken notice of. */
  knowsChildren: boolean;
  /** How long records are kept; closed shards and streams that are switched off too. */
  retentionMs: number;
  /** Streams are labelled with the time, ms since 1970, but never with one before this. */
  labelsFrom: number;
  /** Whether the documented rates are held: 5 GetRecords a second and shard, 10 DescribeStream a second. */
  holdsRates: boolean;
}

const DAY_MS = 24 * 3600_000;
export const defaultSettings: DynamoSettings = {
  region: "eu-west-1",
  account: "000000000000",
  pageShards: 100,
  pageTables: 100,
  closesWithRecords: true,
  knowsChildren: true,
  retentionMs: DAY_MS,
  labelsFrom: 0,
  holdsRates: false,
};

/** Who deletes what has expired. */
export const EXPIRY = { PrincipalId: "dynamodb.amazonaws.com", Type: "Service" };

export class DynamoState {
  readonly clock: Clock;
  readonly settings: DynamoSettings;
  readonly tables = new Map<string, Table>();
  readonly streams: Stream[] = [];
  #number = 10n ** 20n;
  #newestLabel = 0;

  constructor(clock: Clock, settings: Partial<DynamoSettings>) {
    this.clock = clock;
    this.settings = { ...defaultSettings, ...settings };
  }

  /** @throws DynamoFault ResourceNotFoundException */
  table(name: unknown): Table {
    const table = this.tables.get(String(name));
    if (table === undefined) throw notFound(`Table: ${name}`);
    return table;
  }

  /** As it can be read now. @throws DynamoFault ResourceNotFoundException */
  stream(arn: unknown): Stream {
    const stream = this.streams.find((one) => one.arn === arn);
    stream?.trimBefore(this.clock.wall() - this.settings.retentionMs);
    if (stream === undefined || stream.gone) throw notFound(`Stream: ${arn}`);
    return stream;
  }

  createTable(options: Pick<Table, "name" | "keySchema" | "definitions">): Table {
    if (this.tables.has(options.name))
      throw new DynamoFault("ResourceInUseException", `Table already exists: ${options.name}`);
    const { region, account } = this.settings;
    const createdAt = this.clock.wall();
    const arn = `arn:aws:dynamodb:${region}:${account}:table/${options.name}`;
    const table = new Table({ ...options, arn, id: uuidOf(`${arn} ${this.#next()}`), createdAt });
    this.tables.set(table.name, table);
    return table;
  }

  /** Its stream is closed, and can be read for a day. */
  dropTable(table: Table): void {
    this.disable(table);
    this.tables.delete(table.name);
  }

  enable(table: Table, view: ViewType): Stream {
    if (table.stream?.disabled === false)
      throw new DynamoFault("ResourceInUseException", `Table already has an enabled stream: ${table.name}`);
    const createdAt = this.clock.wall();
    this.#newestLabel = Math.max(createdAt, this.settings.labelsFrom, this.#newestLabel + 1);
    const label = new Date(this.#newestLabel).toISOString().slice(0, -1);
    const { name, arn, keySchema } = table;
    const stream = new Stream({ arn: `${arn}/stream/${label}`, label, table: name, view, keySchema, createdAt });
    this.streams.push(stream);
    table.stream = stream;
    this.openShard(stream, undefined, 0, KEY_SPACE);
    return stream;
  }

  disable(table: Table): void {
    const { stream } = table;
    if (stream === undefined || stream.disabled) return;
    stream.disabledAt = this.clock.wall();
    for (const shard of stream.open()) this.closeShard(shard);
  }

  openShard(stream: Stream, parent: string | undefined, low: number, high: number): Shard {
    const start = this.#next();
    const shard = new Shard({ id: `shardId-${start}`, parent, low, high, start });
    stream.shards.push(shard);
    return shard;
  }

  closeShard(shard: Shard): void {
    shard.end = shard.records.at(-1)?.dynamodb.SequenceNumber ?? shard.start;
    shard.closedAt = this.clock.wall();
  }

  /** What comes has numbers of at least so many digits. */
  lengthenNumbers(digits: number): void {
    const least = 10n ** BigInt(digits - 1);
    if (this.#number < least) this.#number = least;
  }

  /** Sets an item, or takes it away: into the stream where anything changes by it. @returns the one before */
  change(table: Table, key: ItemKey, after: Item | undefined, userIdentity?: typeof EXPIRY): Item | undefined {
    const before = table.items.get(key.text);
    if (isSameItem(before, after)) return before;
    if (after === undefined) table.items.delete(key.text);
    else table.items.set(key.text, after);
    const eventName = before === undefined ? "INSERT" : after === undefined ? "REMOVE" : "MODIFY";
    this.append(
      table,
      key,
      { eventName, ...(before && { OldImage: before }), ...(after && { NewImage: after }) },
      userIdentity,
    );
    return before;
  }

  /** Puts a record into the table's stream, where it has one. @param more stands for what the record would say */
  append(
    table: Table,
    key: ItemKey,
    {
      eventName,
      OldImage,
      NewImage,
    }: Pick<ChangeRecord, "eventName"> & Pick<ChangeRecord["dynamodb"], "OldImage" | "NewImage">,
    userIdentity?: typeof EXPIRY,
    more: Partial<ChangeRecord["dynamodb"]> = {},
  ): void {
    const { stream } = table;
    if (stream === undefined || stream.disabled) return;
    const shard = stream.shardFor(placeOfKey(key.partition));
    if (shard === undefined) throw new Error(`no shard of ${table.name} takes the key ${key.text}`);
    const { view } = stream;
    const images = {
      ...(NewImage !== undefined && view.startsWith("NEW") && { NewImage }),
      ...(OldImage !== undefined && view.includes("OLD") && { OldImage }),
    };
    const number = this.#next();
    const at = this.clock.wall();
    const SizeBytes = [key.keys, ...Object.values(images)].reduce((sum, item) => sum + sizeOfItem(item), 0);
    const record: ChangeRecord = {
      eventID: hexOf(`${stream.arn} ${number}`),
      ...{ eventName, eventVersion: "1.1", eventSource: "aws:dynamodb", awsRegion: this.settings.region },
      ...(userIdentity && { userIdentity }),
      dynamodb: {
        ApproximateCreationDateTime: Math.floor(at / 1000),
        ...{ Keys: key.keys, ...images },
        ...{ SequenceNumber: number, SizeBytes, StreamViewType: view, ...more },
      },
    };
    shard.add(record, at);
  }

  #next(): string {
    this.#number += 1n;
    return String(this.#number);
  }
}

function hexOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

function uuidOf(text: string): string {
  return hexOf(text).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
