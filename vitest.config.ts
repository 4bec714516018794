import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** What the examples import is this repository's own source. */
const doors = { millrace: "index", "millrace/testing": "testing" };

/** `npm test`: everything but the randomised faults, on real servers. */
export default defineConfig({
  resolve: {
    alias: Object.entries(doors).map(([name, file]) => ({
      find: new RegExp(`^${name}$`),
      replacement: fileURLToPath(new URL(`src/${file}.ts`, import.meta.url)),
    })),
  },
  test: {
    include: ["test/{unit,property,contract,integration}/**/*.test.ts", "examples/automations/test/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most of them wait most of the time: for a server, or for what a timeout says.
    maxWorkers: 3,
    retry: 0,
  },
});
