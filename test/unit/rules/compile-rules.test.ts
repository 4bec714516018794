// Rules without code: what is wrong with one is said with file, line and fix, and a good one is an automation like any other.

import { expect, test } from "vitest";
import type { Automation } from "../../../src/automation/define/automation.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { event } from "../../../src/automation/define/event-trigger.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import { ConfigError } from "../../../src/errors.ts";
import type { DomainEvent } from "../../../src/event/parse-domain-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { compileRules } from "../../../src/rules/compile-rules.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { given } from "../../../src/testing.ts";
import { Counts } from "../../support/automations.ts";
import { transaction } from "../../support/postgres/transactions.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { waitFor } from "../../support/wait-for.ts";

const known = {
  ...{ sources: ["shop"], endpoints: ["crm", "ops", "mail", "duty", "desk"], webhooks: ["payments"] },
  kinds: { crm: "webhook", ops: "slack", mail: "email", duty: "pagerduty", desk: "itsm" },
};
const orders = collection<{ id: number; status: string; total: string }>("shop", "public.orders");

function compile(...texts: readonly string[]): readonly Automation[] {
  const files = texts.map((text, nth) => ({ file: `rules/${nth}.yaml`, bytes: Buffer.from(text) }));
  return compileRules(files, known).map((rule) => rule.automation);
}

function refusal(...texts: readonly (string | Uint8Array)[]): string {
  try {
    compileRules(
      texts.map((text, nth) => ({ file: `rules/${nth}.yaml`, bytes: Buffer.from(text) })),
      known,
    );
  } catch (error) {
    if (error instanceof ConfigError) return `${error.code}: ${error.message} | ${error.hint}`;
    throw error;
  }
  return "none";
}

const good = `id: flag
on: { source: shop, collection: public.orders, op: created }
where:
  after: { status: [paid] }
do:
  emit: order.flagged
  key: "{{ /after/id }}"
  data: { order: "{{ /after/id }}", text: "order {{ /after/id }}" }
retry: { attempts: 5 }
`;
const put = (from: string, to: string): string => good.replace(from, to);
const deep = (open: string, close: string): string => `${good}start: ${open.repeat(4_000)}${close.repeat(4_000)}`;

test("a good one is an automation with its options, its pattern and what it reads", () => {
  const [rule] = compile(good);

  expect(rule).toMatchObject({ id: "flag", retry: { attempts: 5 }, order: undefined, emits: ["order.flagged"] });
  expect(rule?.needs).toMatchObject([{ source: "shop", name: "orders", op: "created", images: ["after"] }]);
});

test.each([
  ["a syntax error", put("created }", "created"), "rules/0.yaml:3:1: ", "mend the file"],
  ["a key twice", `${good}id: other\n`, "rules/0.yaml:10:1: duplicate key", "take one of the two out"],
  ["several documents", `${good}---\n${good}`, "rules/0.yaml:10:1: multiple docs", "write one list"],
  ["an anchor", put("[paid]", "&a [paid]"), "rules/0.yaml:4:23: there are no anchors and aliases", "write it out"],
  ["a merge key", `${good}<<: { order: key }\n`, "rules/0.yaml:10:1: there are no merge keys", "write the members out"],
  ["a tag", put("order.flagged", "!!js/function x"), "rules/0.yaml:6:9: tag resolve failed", "take the tag (!…) out"],
  [
    "a tag that YAML knows",
    put("order.flagged", "!!str x.y"),
    "rules/0.yaml:6:15: there are no tags",
    "take the tag out",
  ],
  ["YAML 1.1, where on is a boolean", `%YAML 1.1\n---\n${good}`, "rules/0.yaml:1:1: it is not YAML 1.2", "%YAML"],
  [
    "a name that is no text",
    put("status: [paid]", "1: [paid]"),
    "rules/0.yaml:4:12: a member's name is no text",
    "quotes",
  ],
  [
    "a number that a double changes",
    put("[paid]", "[9007199254740993]"),
    "rules/0.yaml:4:21: a number with so many digits",
    "text",
  ],
  [
    "a fraction that a double changes",
    put("[paid]", "[0.12345678901234567]"),
    "rules/0.yaml:4:21: a number with so",
    "text",
  ],
  [
    "a hash that is read as a number",
    put("[paid]", "[61e9540]"),
    "rules/0.yaml:4:21: it is no number that JSON has",
    "text",
  ],
  ["no number of JSON", put("[paid]", "[.inf]"), "rules/0.yaml:4:21: it is no number that JSON has", "text"],
  ["lists without end", deep("[", "]"), "rules/0.yaml", "nest it less deep"],
  ["mappings without end", deep("{a: ", "}"), "rules/0.yaml", "nest it less deep"],
  [
    "a member called __proto__",
    `${good}__proto__: { id: x }\n`,
    "rules/0.yaml:10:1: no member may be called so",
    "name",
  ],
  ["a file without a rule", "# nothing\n", "rules/0.yaml: it holds no rule", "write one"],
  ["a text alone", "flag", "rules/0.yaml:1:1: expected object", ""],
  ["a large file", `${good}# ${"x".repeat(70_000)}`, "rules/0.yaml: it is larger than 65536 bytes", "split it"],
  [
    "bytes that are no UTF-8",
    Buffer.concat([Buffer.from(good), Buffer.from([0xff])]),
    "rules/0.yaml: it is not UTF-8",
    "",
  ],
  ["an unknown option", `${good}tiemout: 5s\n`, "rules/0.yaml:10:1: tiemout: there is no such option", '"timeout"'],
  ["an unknown option of the trigger", put("op:", "opp:"), "rules/0.yaml:2:48: opp: there is no such option", '"op"'],
  ["an unknown option of the action", put("key:", "kye:"), "rules/0.yaml:7:3: kye: there is no such option", '"key"'],
  [
    "a schedule that is none",
    put("{ source: shop, collection: public.orders, op: created }", '{ schedule: "every day" }'),
    "rules/0.yaml",
    "",
  ],
  [
    "columns of what is no update",
    put("op: created", "op: created, changed: [status]"),
    "rules/0.yaml:2:61: changed: it is about op: updated",
    "",
  ],
  ["no id", put("id: flag\n", ""), "rules/0.yaml:1:1: id: is missing", "docs/rules.md"],
  [
    "an id that is none",
    put("id: flag", "id: Flag!"),
    'rules/0.yaml:1:1: "Flag!" cannot be an automation\'s id',
    "a-z",
  ],
  ["no trigger", put("on: {", "no: {"), "rules/0.yaml:2:1: no: there is no such option", '"on"'],
  [
    "a trigger that says nothing",
    put("collection: ", "table: "),
    "rules/0.yaml:2:1: it does not say what",
    "collection, event",
  ],
  [
    "two triggers in one",
    put("op: created", "op: created, event: a.b"),
    "rules/0.yaml:2:1: it says both collection and event",
    "write one",
  ],
  ["an op that there is not", put("op: created", "op: inserted"), "rules/0.yaml:2:48: op: ", "docs/rules.md"],
  [
    "an unknown source",
    put("source: shop", "source: shopp"),
    'rules/0.yaml:2:7: the configuration has no "shopp" under sources',
    '"shop"',
  ],
  [
    "an unknown receiver",
    put("source: shop, collection: public.orders, op: created", "webhook: payment"),
    'rules/0.yaml:2:7: the configuration has no "payment" under webhooks',
    '"payments"',
  ],
  ["an action that says nothing", put("emit:", "email:"), "rules/0.yaml:5:1: it does not say what", "emit"],
  [
    "a pointer to what no such event has",
    put('{{ /after/id }}"\n', '{{ /aftre/id }}"\n'),
    "rules/0.yaml:7:3: an event of this kind has no /aftre",
    "/after",
  ],
  ["an open template", put('order {{ /after/id }}"', 'order {{ /after/id"'), "rules/0.yaml:8:37: a {{ has no }}", "{{"],
  [
    "an unknown endpoint",
    put("emit: order.flagged", "send: cmr"),
    'rules/0.yaml:6:3: the configuration has no "cmr" under endpoints',
    '"crm"',
  ],
  [
    "what no message of the endpoint has",
    put("emit: order.flagged", "send: crm").replace("key:", "tipe:"),
    "rules/0.yaml:7:3: tipe: an endpoint of kind webhook takes no such member",
    '"type"',
  ],
  [
    "what no message to Slack has",
    put("emit: order.flagged", "send: ops").replace(/key: .*\n {2}data:/, "txet:"),
    "rules/0.yaml:7:3: txet: an endpoint of kind slack takes no such member",
    '"text"',
  ],
  [
    "a message to Slack that says nothing",
    put("emit: order.flagged", "send: ops").replace(/key: .*\n {2}data: .*/, 'channel: "{{ /after/id }}"'),
    "rules/0.yaml:6:3: an endpoint of kind slack takes no message without text or blocks or attachments",
    "text",
  ],
  [
    "a mail without a subject",
    put("emit: order.flagged", "send: mail").replace(/key: .*\n {2}data: .*/, "to: a@example.com"),
    "rules/0.yaml:6:3: an endpoint of kind email takes no message without subject",
    "subject",
  ],
  [
    "an incident without a summary",
    put("emit: order.flagged", "send: duty").replace(/key: .*\n {2}data: .*/, "severity: info"),
    "rules/0.yaml:6:3: an endpoint of kind pagerduty takes no message without summary or action",
    "summary",
  ],
  ["a pattern that cannot be", put("[paid]", "paid"), "rules/0.yaml:4:12: ", '["paid"]'],
  ["a pattern that never matches", put("after: { status", "before: { status"), "rules/0.yaml:4:13: ", "correct it"],
  ["a duration that is none", put("attempts: 5", "min: soon"), "rules/0.yaml:9:10: ", "5m"],
  ["an option that does not fit", `${good}onExhausted: block\n`, "rules/0.yaml:10:1: ", 'order: "key"'],
] as const)("%s is refused with file, line and fix", (_, text, message, hint) => {
  const said = refusal(text);

  expect(said).toMatch(/^RULE_INVALID: /);
  expect(said).toContain(message);
  expect(said).toContain(hint);
});

test("aliases that would grow to gigabytes are refused at the first of them", () => {
  const laughs = Array.from({ length: 9 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`).join("\n");

  expect(refusal(`a0: &a0 [lol]\n${laughs}\n`)).toContain("rules/0.yaml:1:9: there are no anchors and aliases here");
});

test("what is wrong quotes nothing of the file", () => {
  expect(refusal(`id: "tokenABC\n`)).not.toContain("tokenABC");
});

test("two rules of one id are refused, with both places, in one file or in two", () => {
  const twice = `- ${good.trimEnd().replaceAll("\n", "\n  ")}\n- ${good.trimEnd().replaceAll("\n", "\n  ")}\n`;

  expect(refusal(good, good)).toContain('two rules are named "flag": rules/0.yaml:1:1 and rules/1.yaml:1:1');
  expect(refusal(twice)).toContain('two rules are named "flag": rules/0.yaml:1:3 and rules/0.yaml:10:3');
});

test("JSON is YAML, and a list holds several rules", () => {
  const rules = compile(
    JSON.stringify([
      { id: "a", on: { event: "order.placed" }, do: { emit: "a.b", data: "{{ /data }}" } },
      { id: "b", on: [{ system: "dead" }, { system: "gap" }], do: { emit: "b.c", data: { of: "{{ /type }}" } } },
      { id: "d", on: { schedule: "every 5m", catchUp: "none" }, do: { emit: "d.e", data: "{{ /time }}" } },
      { id: "c", on: { webhook: "payments", type: ["paid", "void"] }, do: { emit: "c.d", data: "{{ /body/id }}" } },
    ]),
  );

  expect(rules.map(({ id, triggers }) => [id, triggers.length])).toEqual([
    ["a", 1],
    ["b", 2],
    ["d", 1],
    ["c", 1],
  ]);
});

test("images of a row are needed as far as the rule reads them", () => {
  const images = (op: string, data: string): unknown =>
    compile(
      put("op: created", `op: ${op}`)
        .replace(/where:\n.*\n/, "")
        .replace(/key: .*\n {2}data: .*/, `data: "${data}"`),
    )[0]?.needs.map((one) => one.images);

  expect(images("updated", "{{ /before/id }} {{ /after/id }}")).toEqual([["before", "after"]]);
  expect(images("updated", "{{ /key/id }}")).toEqual([]);
  expect(images("deleted", "{{ /before/id }}")).toEqual([["before"]]);
});

test("in the test kit it is handled as an automation of code would be", async () => {
  const [rule] = compile(`${good}shadow: true\n`);
  const r = await given([
    orders.row({ id: 1, status: "paid", total: "5" }).created(),
    orders.row({ id: 2, status: "new", total: "5" }).created(),
  ]).when(rule as Automation);

  expect(r.outcomes).toMatchObject([
    { outcome: "shadow", wouldBe: { would: "done", effects: [{ kind: "emit", type: "order.flagged", count: 1 }] } },
    { outcome: "filtered" },
  ]);
});

test("what it reads and the event lacks makes the event a dead letter that names the pointer", async () => {
  const [rule] = compile(put('{{ /after/id }}"\n', '{{ /after/nothing }}"\n'));
  const r = await given([orders.row({ id: 1, status: "paid", total: "5" }).created()]).when(rule as Automation);

  expect(r.deadLetters).toMatchObject([
    { reason: "fatal", error: { message: "the event has no /after/nothing, which the rule reads" } },
  ]);
});

/** Runs them on the bus in memory over two created orders, until all is quiet. */
async function run(automations: readonly Automation[], done: (metrics: Counts) => boolean, timeoutMs = 60_000) {
  const time = new VirtualTime();
  const { clock } = time;
  const server = new MemoryServer(clock);
  const open = () => new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
  await using writer = await open()
    .stream("shop" as SourceId)
    .openWriter(new AbortController().signal);
  await writer.write([10, 20].flatMap((final) => transaction("shop" as SourceId, final)));
  const metrics = new Counts();
  const stopping = new AbortController();
  const bus = open();
  const { settled } = runAutomations({
    ...{ bus, clock, automations, log: silentLogger, metrics, logEvents: false, maxHops: 3 },
    ...{ logErrors: "message" as const, ackWaitMs: 30_000, signal: stopping.signal },
    posted: automations.flatMap(({ emits = [] }) => emits),
  });
  await time.when(waitFor(() => done(metrics), { what: "all to be handled", clock, timeoutMs }));
  stopping.abort();
  await time.when(settled);
  await bus[Symbol.asyncDispose]();
  return {
    metrics,
    stored:
      server.streams.get("MILLRACE_EVENTS")?.messages.filter(({ subject }) => subject.startsWith("events._post.")) ??
      [],
  };
}

const emitting = (id: string, on: string, type: string): string =>
  `id: ${id}\non: ${on}\nstart: earliest\ndo: { emit: ${type}, key: "{{ /id }}", data: { of: "{{ /id }}" } }\n`;
const created = "{ source: shop, collection: public.orders, op: created }";

test("what it emits reaches event() with its key, and says what caused it", async () => {
  const seen: DomainEvent[] = [];
  const follow = automation("follow", { on: event("order.seen"), start: "earliest" }, ({ event: one }) => {
    seen.push(one);
  });
  const { stored } = await run(
    [...compile(emitting("see", created, "order.seen")), follow],
    ({ counts }) => counts["follow.handled"] === 2,
  );

  expect(stored).toHaveLength(2);
  expect(
    seen.map(({ type, source, key, data, id }) => [
      type,
      source,
      key === (data as { of: string }).of,
      id.startsWith("rule:see:"),
    ]),
  ).toEqual([
    ["order.seen", "_post", true, true],
    ["order.seen", "_post", true, true],
  ]);
  expect(seen[0]?.lineage).toMatchObject({
    causationId: seen[0]?.key,
    correlationId: seen[0]?.key,
    hops: 1,
    automation: "see",
  });
});

test("an attempt that is made again emits nothing new", async () => {
  const [rule] = compile(emitting("see", created, "order.seen"));
  const twice: Automation = {
    ...(rule as Automation),
    handler: async (context) => {
      await rule?.handler(context);
      if (context.attempt === 1) throw new Error("the answer was lost");
    },
  };
  const { stored, metrics } = await run([twice], ({ counts }) => counts["see.handled"] === 2);

  expect(metrics.counts["see.retried"]).toBe(2);
  expect(stored).toHaveLength(2);
});

test("made again when the bus has forgotten the ids of what it published, it emits nothing new either", async () => {
  const [rule] = compile(emitting("see", created, "order.seen"));
  const late: Automation = {
    ...(rule as Automation),
    handler: async (context) => {
      await rule?.handler(context);
      if (context.attempt === 1) throw context.retry({ after: "65m" });
    },
  };
  const { stored, metrics } = await run([late], ({ counts }) => counts["see.handled"] === 2, 2 * 60 * 60_000);

  expect(metrics.counts["see.retried"]).toBe(2);
  expect(stored).toHaveLength(2);
});

test("rules that start each other are ended by the limit of hops, as a cycle", async () => {
  const ring = compile(
    emitting("begin", created, "ring.a"),
    emitting("first", "{ event: ring.a }", "ring.b"),
    `${emitting("second", "{ event: ring.b }", "ring.a")}cycles: allow\n`,
  ).map((rule) => ({ ...rule, cycles: "allow" as const }));
  const { metrics, stored } = await run(
    ring,
    ({ counts }) => (counts["first.cycle"] ?? 0) + (counts["second.cycle"] ?? 0) === 2,
  );

  expect(stored).toHaveLength(6);
  expect(metrics.counts).toMatchObject({
    "begin.handled": 2,
    "first.handled": 2,
    "second.handled": 2,
    "first.cycle": 2,
  });
});

test("what it sends is a message with the event's type, or as it is written; without members the event itself", async () => {
  const on = "on: { source: shop, collection: public.orders, op: [created, updated] }\nshadow: true\n";
  const rules = compile(
    `id: typed\n${on}do: { send: crm, data: { order: "{{ /key/id }}" } }\n`,
    `id: named\n${on}do: { send: crm, type: order.seen, data: "{{ /key }}" }\n`,
    `id: text\n${on}do: { send: ops, text: "order {{ /key/id }}" }\n`,
    `id: plain\n${on}do: { send: crm }\n`,
    `id: ends\n${on}do: { send: duty, action: resolve, key: "{{ /key/id }}" }\n`,
    `id: ticket\n${on}do: { send: desk, u_any_field: "{{ /key/id }}" }\n`,
  );
  const r = await given([orders.row({ id: 1, status: "paid", total: "5" }).created()]).when(
    ...(rules as [Automation, ...Automation[]]),
  );
  const sent = (type?: string, to = "crm") => [{ kind: "send", to, ...(type !== undefined && { type }), count: 1 }];

  expect(rules.map(({ sends }) => sends)).toEqual([
    { endpoint: "crm", built: true },
    { endpoint: "crm", built: true },
    { endpoint: "ops", built: true },
    { endpoint: "crm", built: false },
    { endpoint: "duty", built: true },
    { endpoint: "desk", built: true },
  ]);
  expect(rules.map(({ needs }) => needs.flatMap(({ images }) => images))).toEqual([
    [],
    [],
    [],
    ["after", "after"],
    [],
    [],
  ]);
  expect(r.outcomes.map(({ wouldBe }) => wouldBe?.effects)).toEqual([
    sent("shop.public.orders.created"),
    sent("order.seen"),
    sent(undefined, "ops"),
    sent("shop.public.orders.created"),
    sent(undefined, "duty"),
    sent(undefined, "desk"),
  ]);
});
