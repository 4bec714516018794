// Each order is sent to the CRM.

import { automation, event, send } from "millrace";

export const toCrm = automation(
  "orders-to-crm",
  { on: event("order.created"), retry: { attempts: 12, max: "1h", maxAge: "3d" } },
  send("crm", ({ event }) => ({ type: "order.created", data: event.data })),
);
