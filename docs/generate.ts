// `npm run docs`: writes the pages that are made from the code and from what was measured.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { configPage } from "./config-page.ts";
import { errorSites, errorsPage } from "./errors-page.ts";
import { metricsPage } from "./metrics-page.ts";
import { performancePage } from "./performance-page.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The pages by their file below `docs/`. */
const pages: Readonly<Record<string, string>> = {
  "config.md": configPage(),
  "errors.md": errorsPage(errorSites(root)),
  "operations/metrics.md": await metricsPage(),
  "performance.md": performancePage(root),
};

for (const [name, text] of Object.entries(pages)) {
  writeFileSync(new URL(name, import.meta.url), text);
  console.log(`wrote docs/${name}`);
}
