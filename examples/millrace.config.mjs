// The worker beside the examples: it reads what they write into the outbox, and the tables that TABLES names.

export default {
  bus: { servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" },
  sources: {
    shop: {
      kind: "postgres",
      url: { env: "DATABASE_URL" },
      tables: (process.env.TABLES ?? "millrace.outbox").split(","),
      outbox: true,
    },
  },
};
