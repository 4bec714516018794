import { defineConfig } from "tsdown";

export default defineConfig({
  entry: { index: "src/index.ts", event: "src/event.ts", outbox: "src/outbox.ts", cli: "src/cli/main.ts" },
  format: "esm",
  target: "node20",
  platform: "node",
  dts: { sourcemap: false },
  outExtensions: () => ({ js: ".js", dts: ".d.ts" }),
  clean: true,
});
