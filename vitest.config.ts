import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** What the examples import is this repository's own source. */
const doors = { millrace: "index", "millrace/testing": "testing" };

const resolve = {
  alias: Object.entries(doors).map(([name, file]) => ({
    find: new RegExp(`^${name}$`),
    replacement: fileURLToPath(new URL(`src/${file}.ts`, import.meta.url)),
  })),
};

const each = {
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // Most of them wait most of the time: for a server, or for what a timeout says.
  maxWorkers: 3,
  retry: 0,
};

/** `npm test`: everything but the randomised faults, on real servers. */
export default defineConfig({
  test: {
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/summary-reporter.ts"],
    maxWorkers: each.maxWorkers,
    projects: [
      {
        resolve,
        test: {
          ...each,
          name: "servers",
          include: ["test/{contract,integration}/**/*.test.ts", "examples/automations/test/*.test.ts"],
        },
      },
      {
        resolve,
        test: {
          ...each,
          name: "pure",
          include: ["test/{unit,property}/**/*.test.ts"],
          // Their processes load a module once instead of once a file, which was half of their time.
          isolate: false,
        },
      },
    ],
  },
});
