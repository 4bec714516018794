import { defineConfig } from "vitest/config";

/** `npm run test:faults`: random kills, proxies, freezes; each run prints its seeds. */
export default defineConfig({
  test: {
    include: ["test/fault/**/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    retry: 0,
  },
});
