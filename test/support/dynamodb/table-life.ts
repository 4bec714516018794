// The life of a table as a seed writes it down on our double: writes to a few items, and between them all that becomes of shards. It
// keeps an account of its own of what can be in no stream.

import type { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import type { Shard, Stream } from "../../../src/dev/dynamodb/streams.ts";
import { EventIds } from "../../../src/source/dynamodb/client/position.ts";
import type { Random } from "../bus/scripted-bus.ts";

export const turns = [
  ...["split", "roll", "idle roll", "expiry", "large item", "another stream"],
  ...["trim what is read", "trim what is not read", "lose a shard that is not read"],
] as const;
export type Turn = (typeof turns)[number];

/** A record of a stream, as the double's own log has it. */
export interface Written {
  readonly id: string;
  readonly item: string;
  readonly stream: Stream;
  readonly shard: Shard;
}

const ITEMS = ["a", "b", "c"] as const;
/** More than a message of the bus takes. */
const LARGE = "x".repeat(80_000);

export class TableLife {
  readonly table: string;
  readonly #double: DynamoDouble;
  readonly #random: Random;
  readonly #source: string;
  readonly #lost = new Set<string>();
  #writes = 0;

  constructor(options: { readonly double: DynamoDouble; table: string; random: Random; source: string }) {
    this.table = options.table;
    this.#double = options.double;
    this.#random = options.random;
    this.#source = options.source;
    this.#double.createTable(this.table);
  }

  /** Another version of some items, one of them perhaps gone. */
  write(): void {
    for (let left = 1 + this.#random.below(3); left > 0; left--) {
      const id = ITEMS[this.#random.below(ITEMS.length)] ?? "";
      if (this.#random.chance(0.15)) this.#delete(id);
      else this.#put(id);
    }
  }

  /** Another version of each item, so that something stands behind all that came before. */
  writeAll(): void {
    for (const id of ITEMS) this.#put(id);
  }

  /** Before these all that was written is to be in the source's stream. */
  static isLoss(turn: Turn): boolean {
    return turn.startsWith("trim") || turn.startsWith("lose");
  }

  take(turn: Turn): void {
    const { table } = this;
    const { life } = this.#double;
    const turns: Readonly<Record<Turn, () => void>> = {
      split: () => life.roll(table, { children: 2 }),
      roll: () => life.roll(table),
      "idle roll": () => {
        life.roll(table);
        life.roll(table);
      },
      expiry: () => life.expire(table, { id: { S: ITEMS[this.#random.below(ITEMS.length)] ?? "" } }),
      "large item": () => this.#put(ITEMS[0], LARGE),
      "another stream": () => {
        life.disable(table);
        this.writeAll(); // in neither
        life.enable(table);
      },
      "trim what is read": () => life.trim(table),
      "trim what is not read": () => {
        this.#lose(() => this.writeAll());
        life.trim(table);
      },
      "lose a shard that is not read": () => {
        this.#lose(() => this.writeAll());
        life.roll(table);
        life.trim(table, { gone: true });
      },
    };
    turns[turn]();
  }

  /** Of the oldest first. */
  streams(): readonly Stream[] {
    return this.#double.state.streams.filter(({ table }) => table === this.table);
  }

  /** All that its streams have ever held, in the order of its writer. */
  written(): readonly Written[] {
    const all = this.streams().flatMap((stream) =>
      stream.shards.flatMap((shard) =>
        shard.records.map(({ dynamodb }) => ({
          ...{ stream, shard, number: BigInt(dynamodb.SequenceNumber) },
          id: new EventIds(this.#source, stream.arn).of(dynamodb.SequenceNumber),
          item: `${this.table}/${dynamodb.Keys.id?.S}`,
        })),
      ),
    );
    return all.sort((a, b) => (a.number < b.number ? -1 : 1));
  }

  /** What can be in the source's stream: all but what was trimmed in the moment when it was written. */
  readable(): readonly Written[] {
    return this.written().filter(({ id }) => !this.#lost.has(id));
  }

  /** Shards of which records were trimmed in the moment when they were written. */
  lossy(): readonly Shard[] {
    return [...new Set(this.written().flatMap(({ id, shard }) => (this.#lost.has(id) ? [shard] : [])))];
  }

  #lose(write: () => void): void {
    const before = new Set(this.written().map(({ id }) => id));
    write();
    for (const { id } of this.written()) if (!before.has(id)) this.#lost.add(id);
  }

  #put(id: string, text = ""): void {
    this.#double.put(this.table, { id: { S: id }, version: { N: String(++this.#writes) }, text: { S: text } });
  }

  #delete(id: string): void {
    this.#double.answer("DynamoDB_20120810", "DeleteItem", { TableName: this.table, Key: { id: { S: id } } });
  }
}
