// Templates of rules: pointers into the event, values that keep their type, and nothing that runs.

import { expect, test } from "vitest";
import { Fatal } from "../../../src/automation/outcome/outcome.ts";
import { compileTemplate, type Refuse } from "../../../src/rules/template.ts";

const refuse: Refuse = (path, message) => new Error(`${path.join(".")}: ${message}`);
const event = {
  after: { id: 7, total: "99.90", note: null, tags: ["a", "b"], "a/b": 1, "m~n": 2, "": 3 },
  key: { id: 7 },
};
const render = (value: unknown): unknown => compileTemplate(value, ["data"], refuse).render(event);

test.each([
  ["{{ /after/id }}", 7],
  ["{{/after/total}}", "99.90"],
  ["{{ /after/tags }}", ["a", "b"]],
  ["{{ /after/tags/1 }}", "b"],
  ["{{ /after/note }}", null],
  ["{{ /after/a~1b }}", 1],
  ["{{ /after/m~0n }}", 2],
  ["{{ /after/ }}", 3],
  ["{{ /after/none or null }}", null],
  ['{{ /after/none or "not there" }}', "not there"],
  ["{{ /after/id or 1 }}", 7],
  ["order {{ /after/id }}: {{ /after/total }} EUR{{ /after/note }}", "order 7: 99.90 EUR"],
  ["tags {{ /after/tags }}", 'tags ["a","b"]'],
  ['{{ "{{" }} and }} and {"a":{"b":1}}', '{{ and }} and {"a":{"b":1}}'],
  ["no template", "no template"],
] as const)("%s is %j", (text, value) => {
  expect(render(text)).toEqual(value);
});

test("lists and mappings are templates all through, and other values stay what they are", () => {
  expect(render({ a: [{ b: "{{ /key/id }}" }], n: 1, t: true, z: null })).toEqual({
    a: [{ b: 7 }],
    n: 1,
    t: true,
    z: null,
  });
});

test.each([
  "/constructor",
  "/__proto__",
  "/after/toString",
  "/after/tags/length",
  "/after/tags/-1",
  "/after/total/0",
  "/after/note/x",
])("%s is nothing that the event has: the event is a dead letter that names the pointer, and no value", (pointer) => {
  expect(() => render(`{{ ${pointer} }}`)).toThrow(Fatal);
  expect(() => render(`{{ ${pointer} }}`)).toThrow(`the event has no ${pointer}, which the rule reads`);
});

test.each([
  ["{{ /after/id", "data: a {{ has no }}"],
  ["{{ after.id }}", "data: a template holds neither a pointer nor a value of JSON"],
  ["{{ process.exit() }}", "data: a template holds neither a pointer nor a value of JSON"],
  ["{{ /after/id or nothing }}", "data: a template holds neither a pointer nor a value of JSON"],
  ["{{ }}", "data: a template holds neither a pointer nor a value of JSON"],
  ["{{ /a~2 }}", "data: /a~2 is no JSON pointer"],
])("%s is refused", (text, message) => {
  expect(() => render(text)).toThrow(message);
});

test("a template as a member's name is refused, with its place", () => {
  expect(() => render({ list: [{ "{{ /after/id }}": 1 }] })).toThrow(
    "data.list.0.{{ /after/id }}: a member's name is no template",
  );
});

test("a large value that is named many times makes no message larger than the bus takes", () => {
  const many = compileTemplate(
    Array.from({ length: 1000 }, () => "{{ /after/text }}"),
    [],
    refuse,
  );

  expect(() => many.render({ after: { text: "x".repeat(1024) } })).toThrow("larger than 524288 bytes");
  expect(many.render({ after: { text: "x" } })).toHaveLength(1000);
});

test("it says which parts of the event it reads", () => {
  const { pointers } = compileTemplate({ a: "{{ /after/id }} {{ /key/id }}" }, ["do", "data"], refuse);

  expect(pointers).toEqual([
    { pointer: ["after", "id"], path: ["do", "data", "a"] },
    { pointer: ["key", "id"], path: ["do", "data", "a"] },
  ]);
});
