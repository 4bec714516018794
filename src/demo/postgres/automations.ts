// The demo's three automations, written as a user would; one of them fails now and then.

import type pg from "pg";
import {
  type Automation,
  automation,
  collection,
  event,
  type HandlerContext,
  type PgClient,
  type TxContext,
} from "../../index.ts";
import { epochMs, type Latency } from "../latency.ts";
import { isRefused, needsTwoTries, shopDefaults } from "../shop-database.ts";

interface Row {
  readonly id: string;
}

const orders = collection<Row & { readonly status: string }>("shop", "public.orders");
const items = collection<Row>("shop", "public.order_items");
const products = collection<Row & { readonly stock: number }>("shop", "public.products");

/** What the work of a `tx` is given on a pool of pg. */
type Emitting = TxContext<PgClient>;

/** Which automations must settle a change, counted without Millrace: `orders.created`, by table and op. */
export const listeners: Readonly<Record<string, number>> = {
  "order.placed": 1,
  "orders.updated": 1,
  "products.updated": 1,
  "order_items.deleted": 1,
};

/**
 * They leave one row in `ledger.effects` for each event that they have handled, by `tx`: a second row for the same event
 * would be refused by the table's key. What a handler emits is entered into the ledger in the same transaction.
 */
export function shopAutomations(db: pg.Pool, latency: Latency): readonly Automation[] {
  const once =
    <Event extends { readonly id: string; readonly time: string }>(
      id: string,
      handle: (context: HandlerContext<Event>) => void,
      also: (work: Emitting, event: Event) => Promise<unknown> = async () => {},
    ) =>
    async (context: HandlerContext<Event>): Promise<void> => {
      const nowMs = performance.timeOrigin + performance.now();
      if (context.attempt === 1) latency.add(nowMs - epochMs(context.event.time));
      handle(context);
      await context.tx(async (work) => {
        await work.client.query("insert into ledger.effects values ($1, $2)", [id, context.event.id]);
        await also(work, context.event);
      });
    };
  const common = { db, ...shopDefaults } as const;
  return [
    automation(
      "order-confirmation",
      { ...common, on: event<Row>("order.placed") },
      once(
        "order-confirmation",
        () => {},
        async ({ client, emit }, { key, data }) => {
          await emit("confirmation.sent", { key, data: { order: data.id } });
          await client.query("insert into ledger.entries (changes) values (1)");
        },
      ),
    ),
    automation(
      "payment-capture",
      { ...common, on: orders.updated() },
      once("payment-capture", ({ event, attempt, fatal }) => {
        if (isRefused(event.after.id)) throw fatal("the card was refused");
        if (needsTwoTries(event.after.id) && attempt === 1) throw new Error("the payment service did not answer");
      }),
    ),
    automation(
      "stock-watch",
      { ...common, on: [products.updated(), items.deleted()] },
      once("stock-watch", () => {}),
    ),
  ];
}
