// The demo's shop on DynamoDB: what happens in it, one TransactWriteItems each.

import { randomUUID } from "node:crypto";
import type { AttributeValue, TransactWriteItem } from "@aws-sdk/client-dynamodb";
import { dynamoOutbox } from "../../outbox/dynamo-outbox.ts";
import { addCustomers, anyCustomer, howOften, PRODUCTS, type Till, takeOrder } from "../shop.ts";
import { upTo } from "../shop-database.ts";

export const OUTBOX = "outbox";
/** Of the shop, beside its outbox; each with a text as its key. */
export const TABLES = ["customers", "products", "orders", "order_items"] as const;
type TableName = (typeof TABLES)[number];

/** A transaction takes a hundred writes, one of which is the ledger's. */
const IMPORTED = 90;

const outbox = dynamoOutbox({ table: OUTBOX });

export interface Order {
  readonly id: string;
  readonly items: readonly string[];
}

type DynamoTill = Till<string, Order>;

export const text = (value: string): AttributeValue => ({ S: value });
export const number = (value: number): AttributeValue => ({ N: String(value) });

/** Items of the shop, as they are before the source begins. */
export function products(): readonly Record<string, AttributeValue>[] {
  return Array.from({ length: PRODUCTS }, (_, nth) => ({
    id: text(String(nth + 1)),
    name: text(`Product ${nth + 1}`),
    price: number((((nth + 1) * 37) % 9000) / 100 + 1),
    stock: number(100_000),
  }));
}

/** One transaction that is being put together: each write of it is a change of one item. */
export class Work {
  readonly writes: TransactWriteItem[] = [];
  readonly #nextId: () => string;

  /** @param nextId no two items of the shop have the same */
  constructor(nextId: () => string) {
    this.#nextId = nextId;
  }

  /** @returns the id of the item */
  insert(table: TableName, attributes: Readonly<Record<string, AttributeValue>>): string {
    const id = this.#nextId();
    const Item = { id: text(id), ...attributes, changed_at: number(Date.now()) };
    this.writes.push({ Put: { TableName: table, Item, ConditionExpression: "attribute_not_exists(id)" } });
    return id;
  }

  /** Adds to a number of an item. */
  add(table: TableName, id: string, name: string, amount: number): void {
    const values = { ":amount": number(amount), ":now": number(Date.now()) };
    this.#update(table, id, `SET #name = #name + :amount, changed_at = :now`, { "#name": name }, values);
  }

  set(table: TableName, id: string, name: string, value: AttributeValue): void {
    const values = { ":value": value, ":now": number(Date.now()) };
    this.#update(table, id, "SET #name = :value, changed_at = :now", { "#name": name }, values);
  }

  delete(table: TableName, id: string): void {
    const condition = { ConditionExpression: "attribute_exists(id)" };
    this.writes.push({ Delete: { TableName: table, Key: { id: text(id) }, ...condition } });
  }

  /** Puts an event into the outbox: it is on the bus if this transaction succeeds. */
  async emit(type: string, key: string, data: unknown): Promise<void> {
    this.writes.push((await outbox.emit(type, { key, data })).item);
  }

  /** Lets the whole of it be refused. */
  spoil(): void {
    const Key = { id: text(randomUUID()) };
    const ConditionExpression = "attribute_exists(id)";
    this.writes.push({ ConditionCheck: { TableName: "orders", Key, ConditionExpression } });
  }

  #update(
    TableName: TableName,
    id: string,
    UpdateExpression: string,
    ExpressionAttributeNames: Record<string, string>,
    ExpressionAttributeValues: Record<string, AttributeValue>,
  ): void {
    const expression = { UpdateExpression, ExpressionAttributeNames, ExpressionAttributeValues };
    const condition = { ConditionExpression: "attribute_exists(id)" };
    this.writes.push({ Update: { TableName, Key: { id: text(id) }, ...expression, ...condition } });
  }
}

/** Something that happens in the shop. */
type Happening = (work: Work, till: DynamoTill) => Promise<void>;

const register: Happening = async (work, till) => {
  const added = Array.from({ length: upTo(3) }, (_, nth) =>
    work.insert("customers", {
      name: text(`Customer ${nth}`),
      email: text(`customer${nth}@example.com`),
      preferences: { M: { newsletter: { BOOL: nth % 2 === 0 } } },
    }),
  );
  addCustomers(till, added);
};

const order: Happening = async (work, till) => {
  if (till.customers.length === 0) await register(work, till);
  const customer = anyCustomer(till) ?? "";
  const first = upTo(PRODUCTS - 10);
  const wanted = Array.from({ length: upTo(4) }, (_, nth) => String(first + nth));
  const total = upTo(30_000) / 100;
  const id = work.insert("orders", { customer: text(customer), status: text("pending"), total: number(total) });
  const items = wanted.map((product) =>
    work.insert("order_items", { order: text(id), product: text(product), quantity: number(1) }),
  );
  for (const product of wanted) work.add("products", product, "stock", -1);
  await work.emit("order.placed", id, { id, customer, items: items.length });
  till.pending.push({ id, items });
};

const pay: Happening = async (work, till) => {
  const paid = takeOrder(till);
  if (paid === undefined) return;
  work.set("orders", paid.id, "status", text("paid"));
  await work.emit("order.paid", paid.id, { id: paid.id });
};

const cancel: Happening = async (work, till) => {
  const cancelled = takeOrder(till);
  if (cancelled === undefined) return;
  for (const item of cancelled.items) work.delete("order_items", item);
  work.delete("orders", cancelled.id);
};

const reprice: Happening = async (work) => {
  const first = upTo(PRODUCTS - 20);
  for (let id = first + upTo(20); id >= first; id--) work.add("products", String(id), "price", 0.01);
};

const importCustomers: Happening = async (work) => {
  for (let nth = 0; nth < IMPORTED; nth++)
    work.insert("customers", { name: text(`Import ${nth}`), email: text(`import${nth}@example.com`) });
};

/** How often what happens, out of a hundred. */
export const happenings = howOften({ order, pay, register, cancel, reprice, importCustomers });
