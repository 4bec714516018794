import { defineConfig } from "tsdown";

/** The package's doors and its command. */
export const entry = {
  index: "src/index.ts",
  event: "src/event.ts",
  outbox: "src/outbox.ts",
  testing: "src/testing.ts",
  cli: "src/cli/main.ts",
};

export default defineConfig({
  entry,
  format: "esm",
  target: "node20",
  platform: "node",
  dts: { sourcemap: false },
  outExtensions: () => ({ js: ".js", dts: ".d.ts" }),
  clean: true,
});
