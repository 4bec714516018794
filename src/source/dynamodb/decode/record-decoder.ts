// Records of one shard -> what the worker hands to the bus: a change in its place, or what stands for one that cannot be read.

import { createHash } from "node:crypto";
import { PoisonError } from "../../../errors.ts";
import type { Place } from "../../../event/positions.ts";
import type { ChangeKind, Transaction } from "../../../event/source-event.ts";
import type { Op } from "../../../event/subject.ts";
import type { SourceMessage } from "../../source.ts";
import { partitionOf, type ShardName } from "../client/partition.ts";
import { EventIds, PositionFormat, Step } from "../client/position.ts";
import { type Encoding, itemJson } from "../values/attribute-json.ts";
import { changedNames } from "../values/same-value.ts";
import { keyOf } from "./key.ts";
import { outboxEvent } from "./outbox-item.ts";
import { createdAt, isExpiry, type RawRecord } from "./record.ts";

/** DynamoDB has no schemas and no databases above its tables. */
export const NAMESPACE = "_";
/** How much of a record that cannot be read is kept. */
const KEPT_BYTES = 64 * 1024;

const ops: Readonly<Record<string, Op>> = { INSERT: "created", MODIFY: "updated", REMOVE: "deleted" };

export interface RecordDecoderOptions {
  readonly source: string;
  readonly name: ShardName;
  /** The stream's. */
  readonly arn: string;
  /** Key attributes in the order of the key schema. */
  readonly keyNames: readonly string[];
  readonly encoding: Encoding;
  /** Whether its table is the outbox: what is inserted there are domain events, and all else that happens to it is passed over. */
  readonly isOutbox?: boolean;
}

export class RecordDecoder {
  readonly partition: string;
  readonly positions: PositionFormat;
  readonly #options: RecordDecoderOptions;
  readonly #ids: EventIds;
  readonly #kinds: Readonly<Record<string, ChangeKind>>;
  #transaction: Transaction | undefined;
  #transactionMs = 0;

  constructor(options: RecordDecoderOptions) {
    const { source, name, arn } = options;
    this.#options = options;
    this.partition = partitionOf(name);
    this.positions = new PositionFormat(this.partition);
    this.#ids = new EventIds(source, arn);
    this.#kinds = Object.fromEntries(
      Object.values(ops).map((op) => [op, { namespace: NAMESPACE, collection: name.table, op, version: undefined }]),
    );
  }

  decode(record: RawRecord): SourceMessage {
    const { SequenceNumber: number } = record.dynamodb;
    const place = { partition: this.partition, position: this.positions.format({ number, step: Step.record }) };
    const transaction = this.#transactionAt(createdAt(record) ?? 0);
    try {
      if (this.#options.isOutbox) return this.#said(record, transaction, place);
      const { kind, key, lane, data } = this.#read(record);
      // Written out: a spread is dear, and this is done for each record.
      const { partition, position } = place;
      return { type: "change", kind, lane, key, id: this.#ids.of(number), transaction, partition, position, data };
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      const raw = Buffer.from(JSON.stringify(record));
      const sha256 = createHash("sha256").update(raw).digest("hex");
      const about = { namespace: NAMESPACE, collection: this.#options.name.table, error };
      return {
        ...{ type: "poison", ...place, transaction, ...about },
        ...{ raw: raw.subarray(0, KEPT_BYTES), sizeBytes: raw.length, sha256 },
      };
    }
  }

  #said(record: RawRecord, transaction: Transaction, place: Required<Place>): SourceMessage {
    if (ops[record.eventName ?? ""] === undefined) throw unknownRecord();
    const said = outboxEvent(record, this.#options.encoding);
    if (said === undefined) return { type: "commit", ...place };
    const { lineage, ...event } = said;
    return { ...event, ...place, transaction: lineage === undefined ? transaction : { ...transaction, lineage } };
  }

  #read(record: RawRecord): {
    readonly kind: ChangeKind;
    readonly key: string;
    readonly lane: string;
    readonly data: Uint8Array;
  } {
    const { keyNames, encoding } = this.#options;
    const op = ops[record.eventName ?? ""];
    const kind = op && this.#kinds[op];
    if (op === undefined || kind === undefined) throw unknownRecord();
    const { Keys, OldImage: before, NewImage: after } = record.dynamodb;
    const { json, lane, subject } = keyOf(Keys ?? {}, keyNames, encoding);
    const image = (item: typeof before): string => (item ? itemJson(item, encoding) : "null");
    let text = `{"op":"${op}","key":${json},"before":${image(before)},"after":${image(after)}`;
    if (op === "updated" && before && after) text += `,"changed":${JSON.stringify(changedNames(before, after))}`;
    if (op === "deleted" && isExpiry(record)) text += ',"reason":"ttl"';
    return { kind, key: subject, lane, data: Buffer.from(`${text}}`) };
  }

  /** DynamoDB groups nothing: one object for all that was made at the same time. */
  #transactionAt(ms: number): Transaction {
    if (this.#transaction === undefined || this.#transactionMs !== ms) {
      this.#transaction = { id: undefined, time: new Date(ms).toISOString(), lineage: undefined };
      this.#transactionMs = ms;
    }
    return this.#transaction;
  }
}

function unknownRecord(): PoisonError {
  return new PoisonError("RECORD_UNKNOWN", "a record of an unknown kind", {
    hint: "It is kept as a dead letter, as the server sent it. Is there a newer version of Millrace that knows the kind?",
  });
}
