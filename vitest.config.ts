import { defineConfig } from "vitest/config";

/** `npm test`: everything but the randomised faults, on real servers. */
export default defineConfig({
  test: {
    include: ["test/{unit,property,contract,integration}/**/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    retry: 0,
  },
});
