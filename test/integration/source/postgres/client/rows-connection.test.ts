// A connection that reads rows for long: what it waits for is bounded, by the server and where nothing is heard of it.

import { expect, test } from "vitest";
import { endClient, wire } from "../../../../../src/source/postgres/client/dial.ts";
import { connectForRows } from "../../../../../src/source/postgres/client/rows-connection.ts";
import { freshDatabase, missing } from "../../../../support/servers.ts";

test.skipIf(missing("postgres"))(
  "a statement is ended by the server, a lock given up, and silence beyond that cut",
  async () => {
    await using database = await freshDatabase();
    await database.query("create table held(id int primary key)");
    const holder = await database.connect();
    await holder.query("begin; lock table held in access exclusive mode");
    const settings = "SET synchronous_commit = local";
    const client = await connectForRows(
      { connectionString: database.url },
      { lockMs: 20, statementMs: 60_000, settings },
    );
    try {
      expect(wire(client).stream.timeout).toBe(90_000);
      await expect(client.query("select from public.held")).rejects.toMatchObject({ code: "55P03" });
      const { rows } = await client.query(
        "select current_setting('statement_timeout') as most, current_setting('synchronous_commit') as commits, current_setting('intervalstyle') as style",
      );
      expect(rows).toEqual([{ most: "1min", commits: "local", style: "iso_8601" }]);
    } finally {
      await endClient(client);
      await holder.end();
    }
  },
);
