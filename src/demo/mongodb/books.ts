// The ledger of the shop on MongoDB, in a database that Millrace does not read.

import type { ClientSession, Collection, Db } from "mongodb";
import type { Ledger } from "../shop-database.ts";

interface Entry {
  readonly changes: number;
}

interface Effect {
  /** `<automation>/<event>`: a second one of the same event is none. */
  readonly _id: string;
}

export class ShopBooks {
  readonly #db: Db;
  readonly #entries: Collection<Entry>;
  readonly #effects: Collection<Effect>;

  constructor(db: Db) {
    this.#db = db;
    this.#entries = db.collection("entries");
    this.#effects = db.collection("effects");
  }

  /** Before the first transaction: not every server makes a collection within one. */
  async make(): Promise<void> {
    await this.#db.createCollection("entries");
    await this.#db.createCollection("effects");
  }

  async drop(): Promise<void> {
    await this.#db.dropDatabase();
  }

  /** Counts what a transaction changed, in itself. */
  async enter(changes: number, session: ClientSession): Promise<void> {
    await this.#entries.insertOne({ changes }, { session });
  }

  /** Leaves the effect of an event that an automation has handled; once, however often it is left. */
  async leave(automation: string, event: string): Promise<void> {
    await this.#effects.updateOne({ _id: `${automation}/${event}` }, { $set: { done: true } }, { upsert: true });
  }

  async read(): Promise<Ledger> {
    const [sum] = await this.#entries
      .aggregate<{ readonly changes: number }>([{ $group: { _id: null, changes: { $sum: "$changes" } } }])
      .toArray();
    return { committed: sum?.changes ?? 0, handled: await this.#effects.countDocuments() };
  }
}
