import { defineConfig } from "vitest/config";

/** `npm test`: everything but the randomised faults, on real servers. */
export default defineConfig({
  test: {
    include: ["test/{unit,property,contract,integration}/**/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most of them wait most of the time: for a server, or for what a timeout says.
    maxWorkers: 3,
    retry: 0,
  },
});
