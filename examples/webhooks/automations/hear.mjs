// One automation for each way in.

import { automation, event, webhook } from "millrace";

export const invoicePaid = automation(
  "invoice-paid",
  { on: webhook("payments", "invoice.paid"), where: { body: { data: { object: { paid: [true] } } } } },
  ({ event: { body }, log }) => log.info("an invoice was paid", { invoice: body.data.object.id }),
);

export const orderCreated = automation(
  "order-created",
  { on: webhook("erp", "order.created") },
  ({ event: { id }, log }) => log.info("an order came in", { delivery: id }),
);

export const signedIn = automation("signed-in", { on: event("user.signed_in") }, ({ event: { time }, log }) =>
  log.info("somebody signed in", { time }),
);
