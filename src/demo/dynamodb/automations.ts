// The demo's three automations for the shop on DynamoDB, written as a user would; one of them fails now and then.

import { type Automation, automation, collection, event, type HandlerContext } from "../../index.ts";
import type { Latency } from "../latency.ts";
import { isRefused, needsTwoTries, shopDefaults } from "../shop-database.ts";
import type { ShopBooks } from "./books.ts";

interface Row {
  readonly id: string;
  /** Ms since 1970: the records' own times are whole seconds. */
  readonly changed_at?: number;
}

/** Which automations must settle a change, counted without Millrace: `orders.updated`, by table and op. */
export const listeners: Readonly<Record<string, number>> = {
  "order.placed": 1,
  "orders.updated": 1,
  "products.updated": 1,
  "order_items.deleted": 1,
};

/** They leave one effect for each event that they have handled, under a name of its own: done twice, it is done once. */
export function shopAutomations(books: ShopBooks, latency: Latency): readonly Automation[] {
  const orders = collection<Row>("shop", "_.orders");
  const items = collection<Row>("shop", "_.order_items");
  const products = collection<Row>("shop", "_.products");
  const leaving =
    <Event extends { readonly id: string; readonly after?: Row | null }>(
      id: string,
      handle: (context: HandlerContext<Event>) => void = () => {},
    ) =>
    async (context: HandlerContext<Event>): Promise<void> => {
      const { event, attempt } = context;
      const at = event.after?.changed_at;
      if (attempt === 1 && at !== undefined) latency.add(performance.timeOrigin + performance.now() - at);
      handle(context);
      await books.leave(id, event.id);
    };
  return [
    automation("order-confirmation", { ...shopDefaults, on: event("order.placed") }, leaving("order-confirmation")),
    automation(
      "payment-capture",
      { ...shopDefaults, on: orders.updated() },
      leaving("payment-capture", ({ event, attempt, fatal }) => {
        const { id } = event.after;
        if (isRefused(id)) throw fatal("the card was refused");
        if (needsTwoTries(id) && attempt === 1) throw new Error("the payment service did not answer");
      }),
    ),
    automation("stock-watch", { ...shopDefaults, on: [products.updated(), items.deleted()] }, leaving("stock-watch")),
  ];
}
