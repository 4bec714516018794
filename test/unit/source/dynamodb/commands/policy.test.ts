// The policy of IAM that `millrace sql role` prints, by what the options ask of the server.

import { expect, test } from "vitest";
import { policyLines } from "../../../../../src/source/dynamodb/commands/policy.ts";

const home = { partition: "aws", region: "eu-west-1", account: "123456789012" };
const actionsOf = (options: { readonly tables: readonly string[]; readonly tags: boolean }): readonly string[] =>
  JSON.parse(policyLines({ ...options, home }).join("\n")).Statement.flatMap(
    ({ Action }: { Action: string }) => Action,
  );

test("the tags of tables may be asked for where the option tags is set, and not otherwise", () => {
  expect(actionsOf({ tables: ["*"], tags: true })).toContain("dynamodb:ListTagsOfResource");
  expect(actionsOf({ tables: ["*"], tags: false })).not.toContain("dynamodb:ListTagsOfResource");
});
