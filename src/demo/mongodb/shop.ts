// The demo's shop on MongoDB: its collections, and what happens in it, one transaction each.

import type { ClientSession, Db, Document } from "mongodb";
import { addCustomers, anyCustomer, howOften, PRODUCTS, type Till, takeOrder } from "../shop.ts";
import { upTo } from "../shop-database.ts";

/** A document of the shop. */
export interface Row extends Document {
  readonly _id: number;
}

/** All before the source begins: what is made here is no event. */
export async function makeShop(db: Db): Promise<void> {
  for (const name of ["customers", "products", "orders", "order_items", "barriers"]) await db.createCollection(name);
  await db.collection("order_items").createIndex({ order: 1 });
  await db.collection<Row>("products").insertMany(
    Array.from({ length: PRODUCTS }, (_, nth) => {
      const _id = nth + 1;
      return { _id, name: `Product ${_id}`, price: ((_id * 37) % 9000) / 100 + 1, stock: 100_000 };
    }),
  );
}

/** One transaction under way; counts the documents that it changes. */
export class Work {
  changes = 0;
  readonly #db: Db;
  readonly #session: ClientSession;
  readonly #nextId: () => number;

  /** @param nextId no two documents of the shop have the same */
  constructor(db: Db, session: ClientSession, nextId: () => number) {
    this.#db = db;
    this.#session = session;
    this.#nextId = nextId;
  }

  /** @returns the ids of the documents */
  async insert(collection: string, documents: readonly Document[]): Promise<readonly number[]> {
    const rows = documents.map((document): Row => ({ _id: this.#nextId(), ...document }));
    const { insertedCount } = await this.#db.collection<Row>(collection).insertMany(rows, { session: this.#session });
    this.changes += insertedCount;
    return rows.map(({ _id }) => _id);
  }

  async update(collection: string, filter: Document, update: Document): Promise<void> {
    const found = await this.#db.collection(collection).updateMany(filter, update, { session: this.#session });
    this.changes += found.modifiedCount;
  }

  async delete(collection: string, filter: Document): Promise<void> {
    const { deletedCount } = await this.#db.collection(collection).deleteMany(filter, { session: this.#session });
    this.changes += deletedCount;
  }
}

/** Something that happens in the shop. */
export type Happening = (work: Work, till: Till<number>) => Promise<void>;

const register: Happening = async (work, till) => {
  const customers = Array.from({ length: upTo(3) }, (_, nth) => ({
    name: `Customer ${nth}`,
    email: `customer${nth}@example.com`,
    preferences: { newsletter: nth % 2 === 0 },
    created_at: new Date(),
  }));
  addCustomers(till, await work.insert("customers", customers));
};

const order: Happening = async (work, till) => {
  if (till.customers.length === 0) await register(work, till);
  const customer = anyCustomer(till);
  const first = upTo(PRODUCTS - 10);
  const products = Array.from({ length: upTo(4) }, (_, nth) => first + nth);
  const total = upTo(30_000) / 100;
  const [id = 0] = await work.insert("orders", [{ customer, status: "pending", total, placed_at: new Date() }]);
  await work.insert(
    "order_items",
    products.map((product) => ({ order: id, product, quantity: 1 })),
  );
  await work.update("products", { _id: { $in: products } }, { $inc: { stock: -1 } });
  till.pending.push(id);
};

const pay: Happening = async (work, till) => {
  await work.update("orders", { _id: takeOrder(till) ?? 0 }, { $set: { status: "paid", paid_at: new Date() } });
};

const cancel: Happening = async (work, till) => {
  const id = takeOrder(till) ?? 0;
  await work.delete("order_items", { order: id });
  await work.delete("orders", { _id: id });
};

const reprice: Happening = async (work) => {
  const first = upTo(PRODUCTS - 20);
  await work.update("products", { _id: { $gte: first, $lte: first + upTo(20) } }, { $mul: { price: 1.01 } });
};

const importCustomers: Happening = async (work) => {
  const customers = Array.from({ length: 250 }, (_, nth) => ({
    name: `Import ${nth}`,
    email: `import${nth}@example.com`,
  }));
  await work.insert("customers", customers);
};

/** How often what happens, out of a hundred. */
export const happenings = howOften({ order, pay, register, cancel, reprice, importCustomers });
