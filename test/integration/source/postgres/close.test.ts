// What is closed while it is still connecting leaves no reader of the slot, and no connection, behind.

import { describe, expect, test } from "vitest";
import { startWorker } from "../../../../src/app.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import { clientConfig, Session } from "../../../../src/source/postgres/client/session.ts";
import { freshDatabase, freshNats, missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("a worker stopped", () => {
  test("as soon as its source runs, again and again, frees the slot each time", async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const sources = { shop: { kind: "postgres", url: database.url, slot: "closed_early" } };
    const readers = async (): Promise<number> =>
      (
        await database.query<{ pid: number }>(
          "select active_pid as pid from pg_replication_slots where active and slot_name = 'closed_early'",
        )
      ).length;

    for (let round = 0; round < 8; round++) {
      const worker = await startWorker({ bus: { servers: nats.url }, sources });
      await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source to run" });
      await worker.stop();
      await waitFor(async () => (await readers()) === 0, { what: "the slot to be free" });
    }

    expect(await readers()).toBe(0);
  });
});

test.skipIf(missing("postgres"))("a session closed while it connects leaves no connection behind", async () => {
  await using database = await freshDatabase();
  const session = new Session(clientConfig("closing" as SourceId, database.url));
  const asked = session.query("select 1");
  await new Promise(setImmediate); // under way, and many rounds from done
  await session[Symbol.asyncDispose]();

  await expect(asked).rejects.toMatchObject({ code: "SOURCE_CLOSED" });
  const left = "select pid from pg_stat_activity where application_name = 'millrace closing'";
  await waitFor(async () => (await database.query(left)).length === 0, { what: "the connection to be gone" });
});
