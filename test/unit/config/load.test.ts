// Which file is read, in which languages, and what is said when it cannot be.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { env } from "../../../src/config/env.ts";
import { type LoadOptions, loadConfigFile } from "../../../src/config/load.ts";
import { madeBy } from "../../../src/config/made-by.ts";
import { resolveConfig } from "../../../src/config/resolve.ts";
import { defineConfig } from "../../../src/config/schema.ts";
import { ConfigError } from "../../../src/errors.ts";
import { compileRules } from "../../../src/rules/compile-rules.ts";

const millrace = {
  defineConfig,
  env,
  automation: (id: string): object => ({ [Symbol.for("millrace.automation")]: true, madeBy, id }),
};

async function directory(files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-config-"));
  onTestFinished(() => rm(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

async function load(files: Readonly<Record<string, string>>, more: Partial<LoadOptions> = {}): Promise<unknown> {
  return loadConfigFile({ directory: await directory(files), modules: { millrace }, automations: true, ...more });
}

async function failure(files: Readonly<Record<string, string>>, more: Partial<LoadOptions> = {}): Promise<string> {
  const error: unknown = await load(files, more).catch((thrown: unknown) => thrown);
  return error instanceof ConfigError ? `${error.code}: ${error.message} | ${error.hint}` : `no ConfigError: ${error}`;
}

test.each([
  [
    "millrace.config.ts",
    'import { defineConfig, env } from "millrace";\nconst u: string = "U";\nexport default defineConfig({ sources: { a: { kind: "x", url: env(u) } } });',
  ],
  [
    "millrace.config.mjs",
    'import { env } from "millrace";\nexport default { sources: { a: { kind: "x", url: env("U") } } };',
  ],
  ["millrace.config.json", '{\n\t"sources": { "a": { "kind": "x", "url": { "env": "U" } } }\n}'],
  ["millrace.config.yaml", "sources:\n  a: { kind: x, url: { env: U } }\n"],
])("%s is found and read", async (name, text) => {
  expect(await load({ [name]: text })).toEqual({ sources: { a: { kind: "x", url: { env: "U" } } } });
});

test("TypeScript comes before JSON when both are there", async () => {
  const files = { "millrace.config.json": "{}", "millrace.config.ts": "export default { sources: {} };" };

  expect(await load(files)).toEqual({ sources: {} });
});

test("--config names another file, relative to the working directory", async () => {
  expect(await load({ "conf/prod.yml": "sources: {}" }, { file: "conf/prod.yml" })).toEqual({ sources: {} });
});

test("no file is said with the place that was looked in", async () => {
  expect(await failure({})).toMatch(
    /^CONFIG_NOT_FOUND: there is no millrace\.config\.\* in .+ \| Write .+millrace\.config\.ts/,
  );
  expect(await failure({}, { file: "nope.ts" })).toMatch(/^CONFIG_NOT_FOUND: there is no file .+nope\.ts/);
});

test("a file that does not load says where, and quotes nothing of it", async () => {
  const yaml = await failure({ "millrace.config.yaml": 'sources:\n  a: { url: "hunter22\n' });
  expect(yaml).toMatch(/^CONFIG_LOAD_FAILED: .+millrace\.config\.yaml:\d+:\d+: /);
  expect(yaml).not.toContain("hunter22");
  expect(await failure({ "millrace.config.json": '{ "sources": ' })).toMatch(/^CONFIG_LOAD_FAILED: .+json:1:\d+: /);
  expect(await failure({ "millrace.config.ts": 'throw new Error("broken");' })).toMatch(
    /^CONFIG_LOAD_FAILED: .+: broken \|/,
  );
  expect(await failure({ "millrace.config.ts": "export default {" })).toMatch(/^CONFIG_LOAD_FAILED: /);
  expect(await failure({ "millrace.config.ts": "export const a = 1;" })).toMatch(
    /has no default export \| Write `export default/,
  );
});

const withGlob = { "millrace.config.yaml": 'sources: {}\nautomations: "./automations/**/*.ts"' };

test("a glob collects the exported automations, and nothing else, in the order of the files", async () => {
  const config = await load({
    ...withGlob,
    "automations/b.ts":
      'import { automation } from "millrace";\nexport const b = automation("b");\nexport const help = () => 1;',
    "automations/deep/a.ts":
      'import { automation } from "millrace";\nexport { b } from "../b.ts";\nexport const a = automation("a");',
    "automations/a.test.ts": 'throw new Error("a test beside it is not loaded");',
  });

  expect(config).toMatchObject({ automations: [{ id: "b" }, { id: "a" }] });
});

test.each([
  ["what does not parse", "export const a = 1;\nexport const b = async ({ event } => {};\n", "2:\\d+"],
  ["what throws", "const rows: any = undefined;\n\nexport const first = rows[0];\n", "3:\\d+"],
])("of an automation that does not load the line is named: %s", async (_what, text, place) => {
  const one = await failure({ ...withGlob, "automations/a.ts": text });
  const inner = await failure({ ...withGlob, "automations/b.ts": 'import "../lib/a.ts";', "lib/a.ts": text });

  expect(one).toMatch(new RegExp(`^CONFIG_LOAD_FAILED: /.+/automations/a\\.ts:${place}: `));
  expect(inner).toMatch(new RegExp(`^CONFIG_LOAD_FAILED: /.+/lib/a\\.ts:${place}: `));
});

test.each([
  ["no error", "throw null;", "null"],
  ["an object without a prototype", "throw Object.create(null);", "what was thrown is no error, and has no text"],
])("of a module that throws %s the file is named", async (_what, text, message) => {
  expect(await failure({ ...withGlob, "automations/a.ts": text })).toMatch(
    new RegExp(`^CONFIG_LOAD_FAILED: /.+/automations/a\\.ts: ${message} `),
  );
});

test("a module that waits for what never comes is named, and does not end the process in silence", async () => {
  const files = { ...withGlob, "automations/a.ts": "await new Promise(() => {});\nexport const a = 1;" };

  expect(await failure(files, { patienceMs: 50 })).toMatch(
    /^CONFIG_LOAD_FAILED: \/.+\/automations\/a\.ts: it has not loaded within 0\.05 s \| Await nothing /,
  );
});

test("two automations of one id are refused, with both files", async () => {
  const text = 'import { automation } from "millrace";\nexport const a = automation("mail");';

  expect(await failure({ ...withGlob, "automations/a.ts": text, "automations/b.ts": text })).toBe(
    'AUTOMATION_DUPLICATE: two automations are named "mail": automations/a.ts and automations/b.ts | Give one of them another id; the id is its durable\'s name.',
  );
});

test("a glob that finds no automation is an error, not an idle worker", async () => {
  expect(await failure(withGlob)).toMatch(/^AUTOMATIONS_NOT_FOUND: automations: there is no module \.\/automations/);
  expect(await failure({ ...withGlob, "automations/a.ts": "export const make = () => 1;" })).toMatch(
    /^AUTOMATIONS_NOT_FOUND: automations: no export of automations\/a\.ts of .+ is an automation \| Export what /,
  );
});

test("automations may be exported as a list", async () => {
  const text = 'import { automation } from "millrace";\nexport const all = [automation("a"), automation("b")];';

  expect(await load({ ...withGlob, "automations/a.ts": text })).toMatchObject({
    automations: [{ id: "a" }, { id: "b" }],
  });
});

test("two automations of one id in one file are refused", async () => {
  const text = 'import { automation } from "millrace";\nexport const a = automation("a"), b = automation("a");';

  expect(await failure({ ...withGlob, "automations/a.ts": text })).toMatch(/"a": twice in automations\/a\.ts \| /);
});

test("without automations their modules are not loaded", async () => {
  const files = { ...withGlob, "automations/a.ts": 'throw new Error("loaded");' };

  expect(await load(files, { automations: false })).toEqual({ sources: {} });
});

const rule = 'id: flag\non: { event: order.placed }\ndo: { emit: order.flagged, data: "{{ /data }}" }\n';
const withRules = { "millrace.config.yaml": 'sources: {}\nrules: "./rules/**/*.yaml"', "rules/flag.yaml": rule };
const rules = compileRules;

test("a glob of rules becomes automations, beside those of modules and lists, and nothing of the option is left", async () => {
  const only = await load(withRules, { rules });
  const both = await load(
    {
      ...{ "rules/flag.yaml": rule, "rules/deep/other.yaml": rule.replace("flag\n", "other\n") },
      ...{ "millrace.config.yaml": 'sources: {}\nautomations: "./automations/*.ts"\nrules: "./rules/**/*.yaml"' },
      "automations/a.ts": 'import { automation } from "millrace";\nexport const a = automation("a");',
    },
    { rules },
  );

  expect(only).toMatchObject({ automations: [{ id: "flag", emits: ["order.flagged"] }] });
  expect(only).not.toHaveProperty("rules");
  expect(both).toMatchObject({ automations: [{ id: "a" }, { id: "other" }, { id: "flag" }] });
});

test("a rule with the id of an automation is refused with both places; a glob without a file is an error", async () => {
  const text = 'import { automation } from "millrace";\nexport const a = automation("flag");';
  const config = 'sources: {}\nautomations: "./automations/*.ts"\nrules: "./rules/*.yaml"';
  const files = { ...withRules, "millrace.config.yaml": config, "automations/a.ts": text };

  expect(await failure(files, { rules })).toContain(
    'AUTOMATION_DUPLICATE: two automations are named "flag": automations/a.ts and rules/flag.yaml:1:1',
  );
  expect(await failure({ "millrace.config.yaml": withRules["millrace.config.yaml"] }, { rules })).toMatch(
    /^RULES_NOT_FOUND: rules: there is no file \.\/rules/,
  );
});

test("a rule that names a source that the configuration does not have is refused with its line", async () => {
  const wrong = rule.replace("{ event: order.placed }", "{ source: shop, collection: public.orders, op: created }");

  expect(await failure({ ...withRules, "rules/flag.yaml": wrong }, { rules })).toContain(
    'RULE_INVALID: rules/flag.yaml:2:7: the configuration has no "shop" under sources',
  );
});

test("without automations no rule is read, and a worker inside an application refuses the option", async () => {
  expect(await load({ ...withRules, "rules/flag.yaml": "{" }, { rules, automations: false })).toEqual({ sources: {} });
  expect(() => resolveConfig({ sources: {}, rules: "./rules/*.yaml" }, new Map())).toThrow("rules: expected nothing");
});
