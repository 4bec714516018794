// `millrace demo --source dynamodb`: nothing is lost on our double, while its shards split and end.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCommand } from "../../support/process/run-command.ts";
import { missing, scratchDir } from "../../support/servers.ts";

describe.skipIf(missing("nats"))("on a double of DynamoDB", () => {
  test("says which server it is, loses nothing, and leaves nothing behind", async () => {
    const cwd = await scratchDir();

    const args = ["demo", "--source", "dynamodb", "--seconds", "4", "--json"];
    const { code, stdout, stderr } = await runCommand(args, { cwd });

    const summary = JSON.parse(stdout) as Record<string, number>;
    expect(stderr).toMatch(/^The database is our own double of DynamoDB, which is no DynamoDB.+\n/);
    expect(code).toBe(0);
    expect(summary).toMatchObject({ lost: 0, duplicated: 0, outOfOrder: 0, published: summary.committed });
    expect(summary.committed).toBeGreaterThan(0);
    expect((summary.handled ?? 0) + (summary.deadLettered ?? 0)).toBe(summary.expected);
    expect(await readdir(join(cwd, ".millrace/demo"))).toEqual([]);
  });
});
