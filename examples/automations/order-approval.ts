// Processes an order, a person's approval in between: small orders are approved at once, large ones wait in a table until somebody
// decides. Each step is an automation of its own, tried again by itself, and goes on where the one before it emitted.
//
// Needs of the database: `alter table approvals replica identity full`. There is no `absence` yet, which would be a deadline for each
// order: until then a `schedule` that looks at `approvals` every morning does it, as clean-up.ts looks at what is old.

import { automation, collection, event } from "millrace";

export interface Order {
  readonly id: string;
  readonly customer: string;
  /** In cents. */
  readonly total: number;
}

interface Approval {
  readonly id: string;
  readonly order_data: Order;
  readonly decision: "open" | "yes" | "no";
}

export const approvals = collection<Approval>("ops", "public.approvals");
export const orderPlaced = event<Order>("order.placed");
export const orderApproved = event<Order>("order.approved");
const limit = 100_000;

/** An order comes in. */
export const orderIntake = automation("order-intake", { on: orderPlaced }, async ({ event: { key, data }, tx }) => {
  await tx(async ({ client, emit }) => {
    if (data.total < limit) {
      await emit("order.approved", { key, data });
      return;
    }
    await client.query("insert into approvals(id, order_data, decision) values ($1, $2, 'open')", [
      key,
      JSON.stringify(data),
    ]);
    await emit("approval.asked", { key, data: { total: data.total } });
  });
});

/** Somebody has decided. */
export const orderDecision = automation(
  "order-decision",
  { on: approvals.updated({ column: "decision", from: "open", to: ["yes", "no"] }) },
  async ({ event: { after }, tx }) => {
    await tx(async ({ emit }) => {
      const type = after.decision === "yes" ? "order.approved" : "order.refused";
      await emit(type, { key: after.id, data: after.order_data });
    });
  },
);

/** What was approved is shipped, once. */
export const orderShipping = automation(
  "order-shipping",
  { on: orderApproved },
  async ({ event: { key, data }, tx }) => {
    await tx(async ({ client, emit }) => {
      await client.query("insert into shipments(order_id, customer) values ($1, $2)", [key, data.customer]);
      await emit("order.shipped", { key, data: { customer: data.customer } });
    });
  },
);
