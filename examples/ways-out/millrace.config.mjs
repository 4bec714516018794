// A worker that reads no database: it takes events by HTTP, and sends them on.

import { defineConfig, env } from "millrace";

export default defineConfig({
  bus: { servers: env("NATS_URL", "nats://127.0.0.1:4222") },
  ingress: { port: Number(process.env.INGRESS_PORT ?? 8080) },
  events: {
    token: env("EVENTS_TOKEN"),
    types: { "order.created": { type: "object", required: ["id"], properties: { id: { type: "integer" } } } },
  },
  endpoints: {
    // allowPrivate: the CRM of this example runs beside the worker.
    crm: { url: env("CRM_URL"), secret: env("CRM_SECRET"), rate: { limit: 50, per: "1s" }, allowPrivate: true },
  },
  automations: "./automations/*.mjs",
});
