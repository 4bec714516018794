// The streams of the double: shards with their lineage, the records that they hold, and what of them is no longer kept.

import type { Item } from "./values.ts";

/** Keys of items are spread over it: each open shard has a part. */
export const KEY_SPACE = 2 ** 32;

export interface KeyAttribute {
  readonly AttributeName: string;
  readonly KeyType: "HASH" | "RANGE";
}

export type ViewType = "NEW_AND_OLD_IMAGES" | "NEW_IMAGE" | "OLD_IMAGE" | "KEYS_ONLY";

/** What the stream says of a change, as the server's JSON has it. */
export interface ChangeRecord {
  readonly eventID: string;
  readonly eventName: "INSERT" | "MODIFY" | "REMOVE";
  readonly eventVersion: "1.1";
  readonly eventSource: "aws:dynamodb";
  readonly awsRegion: string;
  readonly userIdentity?: { readonly PrincipalId: string; readonly Type: string };
  readonly dynamodb: {
    readonly ApproximateCreationDateTime: number;
    readonly Keys: Item;
    readonly NewImage?: Item;
    readonly OldImage?: Item;
    readonly SequenceNumber: string;
    readonly SizeBytes: number;
    readonly StreamViewType: ViewType;
  };
}

/** What a shard knows of one of its records. */
interface Note {
  readonly number: bigint;
  /** When it was written, ms since 1970. */
  readonly at: number;
  /** As the caps of a page count it. */
  readonly bytes: number;
}

export class Shard {
  readonly id: string;
  readonly parent: string | undefined;
  /** Its part of the key space: from here, and up to below there. */
  readonly low: number;
  readonly high: number;
  readonly start: string;
  readonly records: ChangeRecord[] = [];
  /** Of each record. */
  readonly notes: Note[] = [];
  end: string | undefined;
  /** Ms since 1970. */
  closedAt: number | undefined;
  /** How many of its records are no longer kept. */
  trimmed = 0;
  /** No longer listed, nor known to whoever asks for it. */
  gone = false;
  /** There, and not listed yet. */
  unlisted = false;

  constructor(options: Pick<Shard, "id" | "parent" | "low" | "high" | "start">) {
    this.id = options.id;
    this.parent = options.parent;
    this.low = options.low;
    this.high = options.high;
    this.start = options.start;
  }

  add(record: ChangeRecord, at: number): void {
    const { SequenceNumber, SizeBytes } = record.dynamodb;
    this.records.push(record);
    this.notes.push({ number: BigInt(SequenceNumber), at, bytes: SizeBytes });
  }

  get isOpen(): boolean {
    return this.end === undefined;
  }
}

export class Stream {
  readonly arn: string;
  readonly label: string;
  readonly table: string;
  readonly view: ViewType;
  readonly keySchema: readonly KeyAttribute[];
  readonly createdAt: number;
  readonly shards: Shard[] = [];
  disabledAt: number | undefined;
  /** How many of a shard's newest records nobody sees yet: all that were written since. */
  heldSince: number | undefined;
  /** A day after it was switched off. */
  gone = false;

  constructor(options: Pick<Stream, "arn" | "label" | "table" | "view" | "keySchema" | "createdAt">) {
    this.arn = options.arn;
    this.label = options.label;
    this.table = options.table;
    this.view = options.view;
    this.keySchema = options.keySchema;
    this.createdAt = options.createdAt;
  }

  get disabled(): boolean {
    return this.disabledAt !== undefined;
  }

  open(): readonly Shard[] {
    return this.shards.filter(({ isOpen }) => isOpen);
  }

  /** The one that takes what is written of a key now. */
  shardFor(place: number): Shard | undefined {
    return this.open().find(({ low, high }) => low <= place && place < high);
  }

  /** Drops what was written before, and shards that were closed before; those are no longer listed. */
  trimBefore(wall: number): void {
    if (this.disabledAt !== undefined && this.disabledAt < wall) this.gone = true;
    for (const shard of this.shards) {
      while ((shard.notes[shard.trimmed]?.at ?? wall) < wall) shard.trimmed++;
      if (shard.closedAt !== undefined && shard.closedAt < wall) shard.gone = true;
    }
  }

  /** How many of a shard's records can be seen. */
  visible(shard: Shard): number {
    const { heldSince } = this;
    if (heldSince === undefined) return shard.records.length;
    const held = shard.notes.findIndex(({ at }) => at >= heldSince);
    return held < 0 ? shard.records.length : held;
  }
}

/** Where a key lies in the key space: of one text always the same, of similar ones far apart. */
export function placeOfKey(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return (hash ^ (hash >>> 16)) >>> 0;
}
