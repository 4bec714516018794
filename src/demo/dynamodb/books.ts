// The ledger of the shop on DynamoDB, in tables that Millrace does not read.

import {
  type DynamoDBClient,
  GetItemCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from "@aws-sdk/client-dynamodb";
import type { Ledger } from "../shop-database.ts";
import { number, text } from "./shop.ts";

export const LEDGER = "ledger";
/** One item for each event that an automation has handled: a second one of the same event is none. */
export const EFFECTS = "effects";

export class ShopBooks {
  readonly #client: DynamoDBClient;
  /** Of the items that are counted in. */
  readonly #ids = { changes: new Set<string>(), effects: new Set<string>() };

  constructor(client: DynamoDBClient) {
    this.#client = client;
  }

  /** Counts what a till's transaction changes, in itself: an item a till, so that no two want the same. */
  entry(till: number, changes: number): TransactWriteItem {
    return this.#count("changes", `till-${till}`, changes);
  }

  /** Leaves the effect of an event that an automation has handled; once, however often it is left. */
  async leave(automation: string, event: string): Promise<void> {
    const Item = { id: text(`${automation}/${event}`) };
    const TransactItems = [
      { Put: { TableName: EFFECTS, Item, ConditionExpression: "attribute_not_exists(id)" } },
      this.#count("effects", automation, 1),
    ];
    try {
      await this.#client.send(new TransactWriteItemsCommand({ TransactItems }));
    } catch (error) {
      if (!isCancelled(error)) throw error;
    }
  }

  async read(): Promise<Ledger> {
    return { committed: await this.#sum("changes"), handled: await this.#sum("effects") };
  }

  #count(what: "changes" | "effects", id: string, count: number): TransactWriteItem {
    this.#ids[what].add(id);
    return {
      Update: {
        TableName: LEDGER,
        Key: { id: text(id) },
        UpdateExpression: "ADD total :count",
        ExpressionAttributeValues: { ":count": number(count) },
      },
    };
  }

  async #sum(what: "changes" | "effects"): Promise<number> {
    const asked = [...this.#ids[what]].map((id) =>
      this.#client.send(new GetItemCommand({ TableName: LEDGER, Key: { id: text(id) }, ConsistentRead: true })),
    );
    const totals = (await Promise.all(asked)).map(({ Item }) => Number(Item?.total?.N ?? 0));
    return totals.reduce((sum, total) => sum + total, 0);
  }
}

/** Whether a transaction was refused by its own conditions. */
export function isCancelled(error: unknown): boolean {
  return error instanceof Error && error.name === "TransactionCanceledException";
}
