// The double's own account of what was committed: the records in its memory, as no reader of its streams has asked for them.

import type { DynamoState } from "../../dev/dynamodb/state.ts";
import type { ChangeRecord } from "../../dev/dynamodb/streams.ts";
import type { IndependentLog, ShopChange } from "../shop-database.ts";
import { OUTBOX } from "./shop.ts";

const ops: Readonly<Record<string, string>> = { INSERT: "created", MODIFY: "updated", REMOVE: "deleted" };

export class MemoryLog implements IndependentLog {
  readonly #state: DynamoState;
  /** Of each shard, how many records were read. */
  readonly #read = new Map<string, number>();

  constructor(state: DynamoState) {
    this.#state = state;
  }

  /** Shards in the order of their making: what happened to one item is in its order. */
  async read(): Promise<readonly ShopChange[]> {
    const changes: ShopChange[] = [];
    for (const stream of this.#state.streams) {
      for (const shard of stream.shards) {
        const name = `${stream.arn} ${shard.id}`;
        for (const record of shard.records.slice(this.#read.get(name) ?? 0))
          changes.push(changeOf(stream.table, record));
        this.#read.set(name, shard.records.length);
      }
    }
    return changes;
  }
}

/** A sequence number tells one change of an item from the next: DynamoDB's records name no transactions. */
export function changeOf(table: string, { eventName, dynamodb }: ChangeRecord): ShopChange {
  const { SequenceNumber: transaction, Keys, NewImage } = dynamodb;
  if (table === OUTBOX) {
    const [aggregate, name, id] = [NewImage?.aggregatetype?.S, NewImage?.type?.S, NewImage?.id?.S];
    return { transaction, table: String(aggregate), op: String(name), id: String(id) };
  }
  return { transaction, table, op: ops[eventName] ?? eventName, id: String(Keys.id?.S) };
}

/** The sequence number within a position, which has it with zeros before it. */
export function numberIn(position: string): string {
  return (position.split(".")[1] ?? "").replace(/^0+/, "");
}
