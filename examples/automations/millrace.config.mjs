// The worker of the examples: it reads their tables and runs all of them.

import pg from "pg";

export default {
  bus: { servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" },
  sources: {
    ops: {
      kind: "postgres",
      url: { env: "DATABASE_URL" },
      tables: ["instances", "interfaces", "peers", "configs", "uploads", "approvals"].map((table) => `public.${table}`),
      outbox: true,
    },
  },
  automations: "./*.ts",
  defaults: { db: new pg.Pool({ connectionString: process.env.DATABASE_URL }) },
};
