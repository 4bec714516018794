import { defineConfig } from "vitest/config";
import { longestFirst } from "./test/support/longest-first.ts";

const LONG = [
  ...[
    "operations-commands",
    "publish-protocol",
    "printed-sql",
    "durables",
    "table-life",
    "whole-worker",
    "readme-commands",
  ],
  ...["log-facts", "tx-away", "documented-commands", "upgrade", "leftovers", "lost-messages", "automations-chaos"],
];

/** `npm run test:faults`: random kills, proxies, freezes, and thousands of schedules on the scripted bus; each run prints its seeds. */
export default defineConfig({
  test: {
    include: ["test/fault/**/*.test.ts", "test/property/publish-protocol.test.ts"],
    env: { SCHEDULES: process.env.SCHEDULES ?? "60" },
    setupFiles: "test/support/each-file.ts",
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    testTimeout: 300_000,
    hookTimeout: 150_000,
    // Some of them wait most of the time.
    maxWorkers: 3,
    sequence: { sequencer: longestFirst(LONG) },
    retry: 0,
  },
});
