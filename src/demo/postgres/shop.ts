// The demo's shop on Postgres: its tables, and what happens in it, one transaction each.

import { addCustomers, anyCustomer, howOften, PRODUCTS, type Till, takeOrder } from "../shop.ts";
import { upTo } from "../shop-database.ts";

/** The ledger is no table of the shop: the demo's own writer counts in it, and Millrace does not read it. */
export const shopTables = `
  create table customers (
    id bigint generated always as identity primary key,
    name text not null,
    email text not null,
    preferences jsonb not null default '{}',
    created_at timestamptz not null default now()
  );
  create table products (
    id bigint generated always as identity primary key,
    name text not null,
    price numeric(12, 2) not null,
    stock int not null
  );
  create table orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers,
    status text not null default 'pending',
    total numeric(12, 2) not null,
    placed_at timestamptz not null default now()
  );
  create table order_items (
    id bigint generated always as identity primary key,
    order_id bigint not null references orders,
    product_id bigint not null references products,
    quantity int not null
  );
  create index on order_items (order_id);
  create schema ledger;
  create table ledger.entries (changes int not null);
  create unlogged table ledger.effects (automation text, event_id text, primary key (automation, event_id));
  insert into products (name, price, stock)
    select 'Product ' || n, (n * 37 % 9000) / 100.0 + 1, 100000 from generate_series(1, ${PRODUCTS}) n;
`;

/** One transaction under way; counts the rows that it changes, and the events that it emits. */
export interface Work {
  /** Puts an event into the outbox: it is on the bus if this transaction commits. */
  emit(type: string, key: string, data: unknown): Promise<void>;
  /** Runs a statement; resolves to the first column of the rows it returns. */
  run(sql: string, values?: readonly unknown[]): Promise<readonly string[]>;
}

/** Something that happens in the shop. */
export type Happening = (work: Work, till: Till<string>) => Promise<void>;

const register: Happening = async (work, till) => {
  const added = await work.run(
    `insert into customers (name, email, preferences)
     select 'Customer ' || n, 'customer' || n || '@example.com', jsonb_build_object('newsletter', n % 2 = 0)
     from generate_series(1, $1::int) n returning id`,
    [upTo(3)],
  );
  addCustomers(till, added);
};

const order: Happening = async (work, till) => {
  if (till.customers.length === 0) await register(work, till);
  const customer = anyCustomer(till);
  const first = upTo(PRODUCTS - 10);
  const [id = "0"] = await work.run("insert into orders (customer_id, total) values ($1, $2) returning id", [
    customer,
    upTo(30_000) / 100,
  ]);
  const items = upTo(4);
  await work.run(
    "insert into order_items (order_id, product_id, quantity) select $1, n, 1 from generate_series($2::int, $3::int) n",
    [id, first, first + items - 1],
  );
  await work.run("update products set stock = stock - 1 where id between $1 and $2", [first, first + items - 1]);
  await work.emit("order.placed", id, { id, customer, items });
  till.pending.push(id);
};

const pay: Happening = async (work, till) => {
  const paid = await work.run("update orders set status = 'paid' where id = $1 returning id", [takeOrder(till)]);
  for (const id of paid) await work.emit("order.paid", id, { id });
};

const cancel: Happening = async (work, till) => {
  const id = takeOrder(till);
  await work.run("delete from order_items where order_id = $1", [id]);
  await work.run("delete from orders where id = $1", [id]);
};

const reprice: Happening = async (work) => {
  const first = upTo(PRODUCTS - 20);
  await work.run("update products set price = price * 1.01 where id between $1 and $2", [first, first + upTo(20)]);
};

const importCustomers: Happening = async (work) => {
  await work.run(
    "insert into customers (name, email) select 'Import ' || n, 'import' || n || '@example.com' from generate_series(1, 250) n",
  );
};

/** How often what happens, out of a hundred. */
export const happenings = howOften({ order, pay, register, cancel, reprice, importCustomers });
