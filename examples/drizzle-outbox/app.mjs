// An application that knows drizzle and nothing else: its events commit with its rows, or not at all.

import { drizzle } from "drizzle-orm/node-postgres";
import { numeric, pgTable, serial, text } from "drizzle-orm/pg-core";
import { outbox } from "millrace/outbox";

const orders = pgTable("drizzle_orders", {
  id: serial().primaryKey(),
  customer: text().notNull(),
  total: numeric({ precision: 12, scale: 2 }).notNull(),
});

const db = drizzle(process.env.DATABASE_URL ?? "postgres://postgres@127.0.0.1:5432/postgres");
await db.execute(
  "create table if not exists drizzle_orders (id serial primary key, customer text not null, total numeric(12, 2) not null)",
);

async function place(customer, total, fails) {
  return db.transaction(async (tx) => {
    const [order] = await tx.insert(orders).values({ customer, total }).returning();
    await outbox(tx).emit("order.placed", { key: order.id, data: order, headers: { tenant: "example" } });
    if (fails) throw new Error("the card was refused");
    return order.id;
  });
}

console.log(`placed order ${await place("Ada", "12.50", false)}`);
await place("Bob", "99.99", true).catch((error) => console.log(`nothing placed: ${error.message}`));
await db.$client.end();
