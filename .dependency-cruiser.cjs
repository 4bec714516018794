// The import table of ARCHITECTURE.md. A room may import itself, errors.ts, node: and what its row allows.
const rooms = {
  event: [],
  telemetry: ["event"],
  config: ["event", "telemetry"],
  source: ["event", "telemetry", "config/parse.ts"],
  bus: ["event", "telemetry"],
  worker: ["event", "telemetry", "source/source.ts", "bus/bus.ts"],
  automation: ["event", "telemetry", "bus/bus.ts"],
  monitor: ["event", "telemetry", "source/source.ts", "bus/bus.ts"],
  dev: ["config", "telemetry"],
  cli: [
    "app.ts",
    "index.ts",
    "config",
    "telemetry",
    "event",
    "dev",
    "demo",
    "version.ts",
    "bus/jetstream/check.ts",
    "bus/jetstream/key-ledger.ts",
    "bus/jetstream/remove-source.ts",
    "bus/jetstream/saved-memory.ts",
    "bus/jetstream/tail.ts",
    "bus/jetstream/verify.ts",
    "source/source.ts",
    "source/postgres/config.ts",
    "source/postgres/remains.ts",
    "source/postgres/setup-sql.ts",
    "source/postgres/slots.ts",
  ],
  demo: ["app.ts", "index.ts", "config", "telemetry", "event", "dev"],
};
const literally = (text) => text.replaceAll(".", "\\.");
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `${room}-imports`,
      severity: "error",
      comment: `src/${room} may import only: ${allowed.join(", ") || "nothing"}`,
      from: { path: `^src/${room}/` },
      to: {
        path: "^src/",
        pathNot: [
          `^src/${room}/`,
          "^src/errors\\.ts$",
          ...allowed.map((a) => `^src/${literally(a)}${a.endsWith(".ts") ? "$" : "/"}`),
        ],
      },
    })),
    {
      name: "contracts-are-pure",
      severity: "error",
      from: { path: "^src/(source/source|bus/bus)\\.ts$" },
      to: { path: "^src/", pathNot: "^src/(event|telemetry)/|^src/errors\\.ts$" },
    },
    {
      name: "only-postgres-knows-pg",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(source/postgres|dev|demo)/" },
      to: { path: "node_modules/(pg|pg-logical-replication)/" },
    },
    {
      name: "only-jetstream-knows-nats",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(bus/jetstream|dev|demo)/" },
      to: { path: "node_modules/@nats-io/" },
    },
    {
      name: "nobody-imports-app",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(cli|demo)/|^src/index\\.ts$" },
      to: { path: "^src/app\\.ts$" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
