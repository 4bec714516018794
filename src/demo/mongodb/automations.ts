// The demo's three automations for the shop on MongoDB, written as a user would; one of them fails now and then.

import { type Automation, automation, collection, type HandlerContext } from "../../index.ts";
import { epochMs, type Latency } from "../latency.ts";
import { isRefused, needsTwoTries, shopDefaults } from "../shop-database.ts";
import type { ShopBooks } from "./books.ts";

interface Row {
  readonly _id: number;
}

/** Which automations must settle a change, counted without Millrace: `orders.created`, by collection and op. */
export const listeners: Readonly<Record<string, number>> = {
  "orders.created": 1,
  "orders.updated": 1,
  "products.updated": 1,
  "order_items.deleted": 1,
};

/** They leave one effect for each event that they have handled, under a name of its own: done twice, it is done once. */
export function shopAutomations(database: string, books: ShopBooks, latency: Latency): readonly Automation[] {
  const orders = collection<Row>("shop", `${database}.orders`);
  const items = collection<Row>("shop", `${database}.order_items`);
  const products = collection<Row>("shop", `${database}.products`);
  const leaving =
    <Event extends { readonly id: string; readonly time: string }>(
      id: string,
      handle: (context: HandlerContext<Event>) => void = () => {},
    ) =>
    async (context: HandlerContext<Event>): Promise<void> => {
      const nowMs = performance.timeOrigin + performance.now();
      if (context.attempt === 1) latency.add(nowMs - epochMs(context.event.time));
      handle(context);
      await books.leave(id, context.event.id);
    };
  return [
    automation("order-confirmation", { ...shopDefaults, on: orders.created() }, leaving("order-confirmation")),
    automation(
      "payment-capture",
      { ...shopDefaults, on: orders.updated() },
      leaving("payment-capture", ({ event, attempt, fatal }) => {
        const id = String(event.after._id);
        if (isRefused(id)) throw fatal("the card was refused");
        if (needsTwoTries(id) && attempt === 1) throw new Error("the payment service did not answer");
      }),
    ),
    automation("stock-watch", { ...shopDefaults, on: [products.updated(), items.deleted()] }, leaving("stock-watch")),
  ];
}
