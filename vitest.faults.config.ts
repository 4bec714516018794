import { defineConfig } from "vitest/config";

/** `npm run test:faults`: random kills, proxies, freezes, and thousands of schedules on the scripted bus; each run prints its seeds. */
export default defineConfig({
  test: {
    include: ["test/fault/**/*.test.ts", "test/property/publish-protocol.test.ts"],
    env: { SCHEDULES: process.env.SCHEDULES ?? "300" },
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    retry: 0,
  },
});
