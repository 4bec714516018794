import { given } from "millrace/testing";
import { expect, test } from "vitest";
import { autoTag, instances } from "../auto-tag.ts";

const bare = instances.row({ id: "i-1", state: "pending", tags: {} });

test("an instance that starts to run gets the tags that it lacks, once it runs", async () => {
  const r = await given([bare.updatedTo({ state: "running" })]).when(autoTag);

  expect(r.outcomes).toMatchObject([{ outcome: "done", attempts: 1 }]);
  expect(r.emitted).toMatchObject([
    { type: "instance.tagged", key: "i-1", data: { missing: ["cost-center", "owner"] } },
  ]);
  expect(r.statements).toMatchObject([{ values: ["i-1", '{"cost-center":"unassigned","owner":"platform"}'] }]);
});

test("one that has all tags, that does not run, or that ran before is left alone", async () => {
  const tagged = instances.row({ id: "i-2", state: "running", tags: { "cost-center": "7", owner: "ada" } });
  const r = await given([
    bare.created(),
    tagged.created(),
    bare.updatedTo({ state: "stopped" }),
    instances.row({ id: "i-3", state: "running", tags: {} }).updatedTo({ tags: { owner: "ada" } }),
  ]).when(autoTag);

  expect(r.outcomes.map(({ outcome, reason }) => reason ?? outcome)).toEqual([
    "it does not run",
    "it has all tags",
    "filtered",
    "filtered",
  ]);
  expect(r.emitted).toEqual([]);
});
