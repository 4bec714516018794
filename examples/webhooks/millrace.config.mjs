// A worker that reads no database: it receives, and runs what hears of it.

import { defineConfig, env } from "millrace";

export default defineConfig({
  bus: { servers: env("NATS_URL", "nats://127.0.0.1:4222") },
  ingress: { port: Number(process.env.INGRESS_PORT ?? 8080) },
  webhooks: {
    payments: { provider: "stripe", secret: env("STRIPE_SECRET") },
    erp: {
      ...{ provider: "hmac", secret: env("ERP_SECRET"), header: "x-signature", prefix: "sha256=" },
      ...{ signed: "{timestamp}.{body}", timestamp: { header: "x-time" } },
      ...{ id: { header: "x-delivery" }, type: { pointer: "/event" } },
    },
  },
  events: {
    token: env("EVENTS_TOKEN"),
    types: {
      "user.signed_in": { type: "object", required: ["user"], properties: { user: { type: "string" } } },
    },
  },
  automations: "./automations/*.mjs",
});
