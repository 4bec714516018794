// The pages that are made from the code say what the code says.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { configPage } from "../../../docs/config-page.ts";
import { errorSites, errorsPage } from "../../../docs/errors-page.ts";
import { metricsPage } from "../../../docs/metrics-page.ts";
import { performancePage } from "../../../docs/performance-page.ts";
import { redact } from "../../../src/telemetry/redact.ts";
import { LOG_FACTS, logFactsTable } from "../../support/check/log-facts.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const page = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");

test("docs/config.md is what `npm run docs` writes", () => {
  expect(page("config.md")).toBe(configPage());
});

test("docs/errors.md is what `npm run docs` writes", () => {
  expect(page("errors.md")).toBe(errorsPage(errorSites(root)));
});

test("docs/operations/metrics.md is what `npm run docs` writes", async () => {
  expect(page("operations/metrics.md")).toBe(await metricsPage());
});

test("docs/performance.md is what `npm run docs` writes of the recorded benches", () => {
  expect(page("performance.md")).toBe(performancePage(root));
});

test("every code of the source is upper case and in docs/errors.md", () => {
  const codes = errorSites(root).map(({ code }) => code);

  expect(codes.length).toBeGreaterThan(50);
  expect(codes.filter((code) => !/^[A-Z][A-Z0-9_]+$/.test(code))).toEqual([]);
  expect(codes.filter((code) => !page("errors.md").includes(`\`${code}\``))).toEqual([]);
});

test("no hint hides a part of itself where it is printed", () => {
  const hidden = errorSites(root).filter(({ hint, message }) => redact(hint) !== hint || redact(message) !== message);

  expect(hidden).toEqual([]);
});

test("docs/errors.md shows what stands in backticks as it is", () => {
  expect(page("errors.md")).toContain("`millrace <command> --help`");
  expect(page("errors.md")).not.toMatch(/`[^`\n]*&lt;[^`\n]*`/);
});

test("docs/reliability.md names the tests of what Postgres does, and each of them exists", () => {
  expect(page("reliability.md")).toContain(logFactsTable());
  const absent = LOG_FACTS.filter(({ file, test }) => !readFileSync(`${root}/${file}`, "utf8").includes(`"${test}"`));
  expect(absent.map(({ test }) => test)).toEqual([]);
  const edits = LOG_FACTS.flatMap(({ broken }) => broken.edits);
  const lost = edits.filter(({ file, find }) => readFileSync(`${root}/src/${file}`, "utf8").split(find).length !== 2);
  expect(lost).toEqual([]);
});
