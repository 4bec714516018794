// `millrace test-pattern`: what it says of events, and how it ends.
// (The command is built for tests that use support/process/run-command.ts.)

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { scratchDir } from "../../support/servers.ts";

/** As `tail --json` writes it. */
const tailed = (data: unknown, subject = "cdc.shop.public.orders.created.p03"): string =>
  JSON.stringify({
    sequence: 7,
    subject,
    id: "shop.1",
    type: "shop.public.orders.created",
    key: "orders/1",
    time: "2026-11-29T00:00:00Z",
    position: "1+",
    transaction: "7",
    last: true,
    data,
  });
const order = (total: string, op = "created"): unknown => ({
  op,
  key: { id: "1" },
  before: null,
  after: { id: "1", total, note: null },
});

const CONFIG = `import { automation, collection } from "millrace";
interface Order { id: string; total: string; note: string | null }
const orders = collection<Order>("shop", "public.orders", { columns: { id: "number", total: "number", note: "text" } });
const large = automation("large", { on: orders.created(), where: { after: { total: [{ numeric: [">", 100] }] } } }, () => {});
const all = automation("all", { on: orders.created() }, () => {});
export default { sources: {}, automations: [large, all] };
`;
const SCHEMA = JSON.stringify({
  $defs: {
    "public.orders": {
      properties: {
        id: { type: "string", pattern: "^-?\\d+$" },
        total: { type: "integer" },
        note: { anyOf: [{ type: "string" }, { type: "null" }] },
      },
      additionalProperties: false,
    },
  },
});

async function run(files: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<CommandResult> {
  const cwd = await scratchDir();
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text);
  return runCommand(["test-pattern", ...args], { cwd });
}

test("an event that does not match ends with 3, and each clause is told", async () => {
  const pattern = '{"op":["created"],"after":{"total":[{"numeric":[">",100]}],"note":["x"],"more":[1]}}';
  const { code, stdout, stderr } = await run({ "e.json": JSON.stringify(order("5")) }, pattern, "--event", "e.json");

  expect({ code, stderr }).toEqual({ code: 3, stderr: "" });
  expect(stdout).toBe(`changes that it can match: cdc.*.*.*.created.*
no match: 3 of 4 clauses fail
  FAIL  after.more   [1]  has no value
  FAIL  after.note   ["x"]  is null
  FAIL  after.total  [{"numeric":[">",100]}]  is "5"
  ok    op           ["created"]
`);
});

test("events that all match end with 0, out of files, a line each, with the columns' types", async () => {
  const files = {
    "p.json": '{"collection":["orders"],"after":{"id":[{"numeric":["<",5]}]}}',
    "events.jsonl": `${tailed(order("1"))}\n${tailed(order("2"))}\n`,
    "shop.schema.json": SCHEMA,
  };
  const types = ["--schema", "shop.schema.json", "--collection", "public.orders"];

  expect(await run(files, "p.json", "--event", "events.jsonl", ...types)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^changes that it can match: cdc\.\*\.\*\.orders\.\*\.\*\n(it matches\n {2}ok .*\n {2}ok .*\n){2}$/,
    ),
  });
  expect(await run(files, "p.json", "--event", "events.jsonl")).toMatchObject({ code: 3 });
  const unknown = await run(files, '{"after":{"totl":[1]}}', "--event", "events.jsonl", ...types);
  expect(unknown).toMatchObject({
    code: 2,
    stderr: 'PATTERN_INVALID: after.totl: there is no column "totl"\nfix: did you mean "total"?\n',
  });
});

test("an automation's where is told as its triggers see the event", async () => {
  const files = {
    "millrace.config.ts": CONFIG,
    "events.jsonl": [
      tailed(order("100.5")),
      tailed(order("99")),
      tailed(order("5", "deleted"), "cdc.shop.public.orders.deleted.p03"),
    ].join("\n"),
  };
  const large = await run(files, "--automation", "large", "--event", "events.jsonl");

  expect(large).toMatchObject({ code: 3, stderr: "" });
  expect(large.stdout).toBe(
    `it matches
  ok    after.total  [{"numeric":[">",100]}]
no match: 1 of 1 clauses fails
  FAIL  after.total  [{"numeric":[">",100]}]  is "99"
no match: no trigger takes this event
`.replaceAll("  after.total", "  large: where.after.total"),
  );
  const all = await run({ ...files, "e.json": tailed(order("1")) }, "--automation", "all", "--event", "e.json");
  expect(all).toMatchObject({ code: 0, stdout: "it matches: there is no where\n" });
  expect(await run(files, "--automation", "lrge", "--event", "events.jsonl")).toMatchObject({
    code: 2,
    stderr: "AUTOMATION_UNKNOWN: the configuration has no automation lrge\nfix: it has large, all\n",
  });
});

test("--json is one object an event", async () => {
  const clause = z.strictObject({
    place: z.string(),
    path: z.string(),
    expected: z.array(z.unknown()),
    found: z.array(z.unknown()),
    outcome: z.enum(["matches", "missing", "differs", "elsewhere"]),
  });
  const schema = z.strictObject({ matches: z.boolean(), alternatives: z.number(), clauses: z.array(clause) });
  const { code, stdout } = await run(
    { "e.jsonl": `${tailed(order("1"))}\n${tailed(order("2"))}` },
    '{"after":{"total":["1"]}}',
    "--event",
    "e.jsonl",
    "--json",
  );

  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => schema.parse(JSON.parse(line)));
  expect(code).toBe(3);
  expect(lines.map(({ matches }) => matches)).toEqual([true, false]);
});

test.each<readonly [string, readonly string[], string]>([
  ["CLI_USAGE", [], "takes a pattern or --automation"],
  ["CLI_USAGE", ['{"a":[1]}', "--automation", "x"], "takes a pattern or --automation"],
  ["CLI_USAGE", ['{"a":[1]}', "--schema", "shop.schema.json", "--event", "e.json"], "without --collection"],
  ["INPUT_UNREADABLE", ["none.json"], "none.json: ENOENT"],
  ["INPUT_UNREADABLE", ["{a}"], "the pattern: it is no JSON"],
  ["INPUT_UNREADABLE", ['{"a":[1]}'], "the standard input: it is empty"],
  ["INPUT_UNREADABLE", ['{"a":[1]}', "--event", "broken.jsonl"], "broken.jsonl: line 2 is no JSON"],
  ["INPUT_UNREADABLE", ['{"a":[1]}', "--event", "apart.json"], "the body of event #7 is not in the stream"],
  ["INPUT_UNREADABLE", ["--automation", "large", "--event", "e.json"], "lines of `millrace tail --json`"],
  ["PATTERN_INVALID", ['{"a":[]}', "--event", "e.json"], "a: an empty list matches nothing"],
])("%s ends with 2 and two lines: %j", async (code, args, message) => {
  const files = {
    "millrace.config.ts": CONFIG,
    "e.json": "{}",
    "broken.jsonl": "{}\n{",
    "apart.json": tailed(null).replace('"data":null', '"data":null,"dataref":"x"'),
    "shop.schema.json": SCHEMA,
  };
  const result = await run(files, ...args);

  expect({ code: result.code, stdout: result.stdout.replace(/^changes .*\n/, "") }).toEqual({ code: 2, stdout: "" });
  expect(result.stderr).toMatch(new RegExp(`^${code}: .+\\nfix: .+\\n$`));
  expect(result.stderr).toContain(message);
});
