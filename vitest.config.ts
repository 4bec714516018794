import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { longestFirst } from "./test/support/longest-first.ts";

/** What the examples import is this repository's own source. */
const doors = { millrace: "index", "millrace/testing": "testing" };

const resolve = {
  alias: Object.entries(doors).map(([name, file]) => ({
    find: new RegExp(`^${name}$`),
    replacement: fileURLToPath(new URL(`src/${file}.ts`, import.meta.url)),
  })),
};

const each = {
  testTimeout: 150_000,
  hookTimeout: 150_000,
  retry: 0,
};

const onServers = {
  ...each,
  // Most of them wait most of the time: for a server, or for what a timeout says.
  maxWorkers: 3,
  sequence: { groupOrder: 1 },
  setupFiles: "test/support/each-file.ts",
};

/** Many short files, whose imports were half of their time: one behind the other in the same processes. */
const TOGETHER = ["test/integration/{automation,bus,egress,ingress,monitor,outbox,source}/**/*.test.ts"];

const LONG = [
  ...["publish-protocol", "worker-schedules"],
  ...[
    "contract/source/dynamodb-double",
    "contract/source/mongodb",
    "turned-away",
    "contract/source/dynamodb",
    "crash-points",
  ],
  ...["cli/cli.", "cli/dynamodb-commands", "contract/source/postgres-source", "rights-lost", "mongodb-bad-input"],
  ...[
    "postgres/start-over",
    "postgres/stream.",
    "mongodb/worker-faults",
    "automation/order.",
    "verify-tables",
    "automation/steering",
  ],
];

/** `npm test`: everything but the randomised faults, on real servers. */
export default defineConfig({
  test: {
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    sequence: { sequencer: longestFirst(LONG) },
    projects: [
      {
        resolve,
        test: {
          ...onServers,
          name: "servers",
          include: ["test/{contract,integration}/**/*.test.ts", "examples/automations/test/*.test.ts"],
          exclude: TOGETHER,
        },
      },
      {
        resolve,
        test: {
          ...onServers,
          name: "together",
          include: TOGETHER,
          // As below. What a file has done to its process is not left for the next one: test/support/each-file.ts.
          isolate: false,
        },
      },
      {
        resolve,
        test: {
          ...each,
          name: "pure",
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          include: ["test/{unit,property}/**/*.test.ts"],
          // Their processes load a module once instead of once a file, which was half of their time.
          isolate: false,
        },
      },
    ],
  },
});
