// `millrace demo --source mongodb`: nothing is lost on the server that there is, and one line says what to do where there is none.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { MongoClient } from "mongodb";
import { describe, expect, test } from "vitest";
import { sharedMongo } from "../../support/mongodb/mongo-servers.ts";
import { foreignMongo } from "../../support/mongodb/mongo-target.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { missing, scratchDir } from "../../support/servers.ts";

test("without a MongoDB server one line says how to have one, and nothing is started or left", async () => {
  const cwd = await scratchDir();
  const env = { MONGODB_URI: "", MILLRACE_SECANTUS: "", XDG_CACHE_HOME: cwd };

  const { code, stdout, stderr } = await runCommand(["demo", "--source", "mongodb", "--json"], { cwd, env });

  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^MONGODB_SERVER_MISSING: .+MONGODB_URI.+pip install secantusdb==\S+\n$/s);
  expect(await readdir(join(cwd, ".millrace/demo"))).toEqual([]);
});

describe.skipIf(missing("mongodb", "nats"))("on a server", () => {
  const runs = [
    [
      "a SecantusDB of its own",
      async () => ({ MONGODB_URI: "" }),
      /^The database is SecantusDB, which is no MongoDB and .+\n$/,
    ],
    [
      "the server that MONGODB_URI names",
      async () => ({ MONGODB_URI: await sharedMongo() }),
      /^The database is MongoDB \S+ at MONGODB_URI\.\n$/,
    ],
  ] as const;

  // A run on a server of somebody's does without SecantusDB.
  test.each(foreignMongo === undefined ? runs : runs.slice(1))(
    "%s: says which, loses nothing, and leaves nothing behind",
    async (_, environment, said) => {
      const cwd = await scratchDir();
      const env = await environment();

      const args = ["demo", "--source", "mongodb", "--seconds", "4", "--json"];
      const { code, stdout, stderr } = await runCommand(args, { cwd, env });

      const summary = JSON.parse(stdout) as Record<string, number>;
      expect(stderr).toMatch(said);
      expect(code).toBe(0);
      expect(summary).toMatchObject({ lost: 0, duplicated: 0, outOfOrder: 0, published: summary.committed });
      expect(summary.committed).toBeGreaterThan(0);
      expect((summary.handled ?? 0) + (summary.deadLettered ?? 0)).toBe(summary.expected);
      expect(await readdir(join(cwd, ".millrace/demo"))).toEqual([]);
      if (env.MONGODB_URI === "") return;
      const client = new MongoClient(env.MONGODB_URI);
      const { databases } = await client.db("admin").admin().listDatabases({ nameOnly: true });
      await client.close();
      expect(databases.filter(({ name }) => name.startsWith("millrace_demo"))).toEqual([]);
    },
  );
});
