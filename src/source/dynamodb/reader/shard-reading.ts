// One shard while it is read: what of it was fetched, and what that makes.

import type { Position } from "../../../event/position.ts";
import type { Marker } from "../../../event/source-event.ts";
import type { SourceMessage } from "../../source.ts";
import { type ShardPlace, Step } from "../client/position.ts";
import { createdAt, type RawRecord } from "../decode/record.ts";
import type { RecordDecoder } from "../decode/record-decoder.ts";
import type { ListedShard } from "../shards/shard-graph.ts";
import { type Pace, Pacer } from "./pace.ts";
import type { ShardPage, ShardReader } from "./shard-reader.ts";
import { ShardTip } from "./shard-tip.ts";

export interface ShardReadingOptions {
  readonly source: string;
  readonly arn: string;
  readonly table: string;
  readonly label: string;
  readonly shard: ListedShard;
  readonly decoder: RecordDecoder;
  readonly reader: ShardReader;
  readonly pace: Pace;
  /** How far the stream has it. */
  readonly place: ShardPlace | undefined;
  /** Ms since 1970: records that are older than this are left out, up to the first that is not. */
  readonly since: number | undefined;
}

/** Of a full page; and what an idle shard counts as. */
const PAGE_BYTES = 1024 * 1024;
const LEAST_BYTES = 64 * 1024;
/** Of the bodies in one chunk. */
const CHUNK_BYTES = 512 * 1024;

export class ShardReading {
  readonly reader: ShardReader;
  readonly pacer: Pacer;
  readonly arn: string;
  readonly id: string;
  readonly partition: string;
  readonly #options: ShardReadingOptions;
  readonly #tip = new ShardTip();
  #place: ShardPlace | undefined;
  #fetchedPlace: ShardPlace | undefined;
  /** The newest that was fetched; its messages may still wait. */
  #fetched: Position;
  #skips: boolean;
  /** Since when it is refused as throttled, ms. */
  throttledSince: number | undefined;
  #expectedBytes = PAGE_BYTES;

  constructor(options: ShardReadingOptions) {
    const { shard, arn, decoder, reader, place, pace, since } = options;
    this.#options = options;
    this.reader = reader;
    this.pacer = new Pacer(pace);
    this.arn = arn;
    this.id = shard.id;
    this.partition = decoder.partition;
    this.#place = place;
    this.#fetchedPlace = place;
    this.#fetched = decoder.positions.format(place ?? { number: undefined, step: Step.opened });
    this.#skips = since !== undefined && place?.number === undefined;
  }

  /** How far it was read, what is left out included. */
  get fetchedPlace(): ShardPlace | undefined {
    return this.#fetchedPlace;
  }

  get fetched(): Position {
    return this.#fetched;
  }

  /** How large the next page may be, by the one before. */
  get expectedBytes(): number {
    return this.#expectedBytes;
  }

  /** How far it was handed out, by time. */
  get tip(): Pick<ShardTip, "isBehind" | "createdMs"> {
    return this.#tip;
  }

  /** A page has come. @param askedAt when it was asked for, ms of the clock */
  fetch({ records, bytes, ended }: ShardPage, askedAt: number): void {
    this.#tip.fetched(askedAt, records.length > 0 || ended);
    this.throttledSince = undefined;
    this.#expectedBytes = Math.max(LEAST_BYTES, bytes, Math.min(PAGE_BYTES, 2 * bytes));
    const number = records.at(-1)?.dynamodb.SequenceNumber;
    if (number === undefined) return;
    this.#fetchedPlace = { number, step: Step.record };
    if (!this.#skips) this.#fetched = this.#options.decoder.positions.format({ number, step: Step.record });
  }

  /** Its marker, unless the stream has it. */
  opened(): readonly SourceMessage[] {
    if (this.#place !== undefined && (this.#place.number !== undefined || this.#place.step >= Step.opened)) return [];
    const { shard } = this.#options;
    this.#place = { number: undefined, step: Step.opened };
    return [this.#marker("begins", { parent: shard.parent ?? null })];
  }

  /** Bounded chunks of what a page makes. */
  *chunks(records: readonly RawRecord[]): Generator<readonly SourceMessage[]> {
    let chunk: SourceMessage[] = [];
    let bytes = 0;
    for (const record of records) {
      const number = record.dynamodb.SequenceNumber;
      if (this.#isOld(record)) continue;
      const message = this.#options.decoder.decode(record);
      this.#place = { number, step: Step.record };
      chunk.push(message);
      if ("data" in message) bytes += message.data.length;
      if (bytes < CHUNK_BYTES) continue;
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    if (chunk.length > 0) yield chunk;
  }

  /** A page that was fetched has been handed out whole. */
  handedOut({ records, ended }: ShardPage): void {
    const newest = records.at(-1);
    this.#tip.handedOut(newest && createdAt(newest), ended);
  }

  /** It was read to its end. */
  ended(children: readonly string[]): readonly SourceMessage[] {
    this.#place = { number: this.#place?.number, step: Step.ended };
    this.#fetched = this.#options.decoder.positions.format(this.#place);
    return [this.#marker("ends", { children })];
  }

  #isOld(record: RawRecord): boolean {
    if (!this.#skips) return false;
    const { since = 0 } = this.#options;
    const at = createdAt(record);
    if (at !== undefined && at < since) return true;
    this.#skips = false;
    return false;
  }

  #marker(state: "begins" | "ends", more: object): Marker {
    const { source, table, label, shard, decoder } = this.#options;
    const place = this.#place ?? { number: undefined, step: Step.opened };
    const body = { state, table, stream: label, shard: shard.id, ...more };
    return shardMarker(source, decoder, place, body);
  }
}

/** Says that a shard begins or ends. */
export function shardMarker(
  source: string,
  decoder: Pick<RecordDecoder, "partition" | "positions">,
  place: ShardPlace,
  body: object,
): Marker {
  const position = decoder.positions.format(place);
  return {
    ...{ type: "marker", kind: "shard", transaction: undefined, partition: decoder.partition, position },
    id: `${source}.shard.${position.slice(0, -1)}`,
    data: Buffer.from(JSON.stringify(body)),
  };
}
