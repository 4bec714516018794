// The rules in examples/rules are rules, and do what they say.

import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { Automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { compileRules } from "../../../src/rules/compile-rules.ts";
import { given } from "../../../src/testing.ts";

const folder = "examples/rules";

test("each compiles, and a large order that is paid is told, a small one and one that is not paid are left out", async () => {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".yaml")).sort();
  const files = await Promise.all(names.map(async (file) => ({ file, bytes: await readFile(`${folder}/${file}`) })));
  const rules = compileRules(files, {
    sources: ["shop"],
    endpoints: ["crm", "duty"],
    webhooks: [],
    kinds: { duty: "slack" },
  }).map(({ automation }) => automation);
  const orders = collection<{ id: number; status: string; total: number }>("shop", "public.orders");
  const large = rules.find(({ id }) => id === "large-orders") as Automation;
  const r = await given([
    orders.row({ id: 1, status: "paid", total: 1001 }).created(),
    orders.row({ id: 2, status: "paid", total: 1000 }).created(),
    orders.row({ id: 3, status: "new", total: 5000 }).created(),
  ]).when(large);

  expect(rules.map(({ id }) => id)).toEqual(["large-orders", "dead-letters-came", "source-behind"]);
  expect(r.outcomes.map(({ outcome }) => outcome)).toEqual(["done", "filtered", "filtered"]);
});
