// Where an exclusive end in the log equals the next transaction's final LSN: whoever takes it as inclusive loses that
// transaction at a restart.

import { describe, expect, test } from "vitest";
import { startWorker, type Worker } from "../../../src/app.ts";
import { countMessages } from "../../support/bus/count-messages.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { assertGuarantees } from "../../support/check/guarantees.ts";
import { createTruthSlot } from "../../support/check/truth.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

/** What comes before a row, and whether the row's transaction is open already when the worker restarts. */
const sequences = [
  ["a commit to a table that is not published", "insert into aside.hidden values (1)", "outside"],
  ["a message outside of transactions", "select pg_logical_emit_message(false, 'aside', 'x')", "outside"],
  ["a message outside of transactions that is read", "select pg_logical_emit_message(false, 'read', 'x')", "outside"],
  ["a message inside the row's transaction", "select pg_logical_emit_message(true, 'aside', 'x')", "inside"],
] as const;

const ROUNDS = 3;

async function untilAcknowledged(database: Database, slot: string): Promise<void> {
  const [end] = await database.query<{ lsn: string }>("select pg_current_wal_insert_lsn()::text as lsn");
  const told = (): Promise<{ ok: boolean }[]> =>
    database.query<{ ok: boolean }>(
      "select confirmed_flush_lsn >= $1::pg_lsn as ok from pg_replication_slots where slot_name = $2",
      [end?.lsn, slot],
    );
  await waitFor(async () => (await told())[0]?.ok, { what: "the database to be told of all its log" });
}

describe.skipIf(missing("postgres", "nats"))("a worker restarted between", () => {
  test.each(sequences)("%s and a row at the same LSN misses nothing", async (name, before, where) => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query(
      "create table item(id int primary key); create schema aside; create table aside.hidden(v int)",
    );
    const slot = `slot_${sequences.findIndex(([other]) => other === name)}`;
    const truth = await createTruthSlot(database.url, `truth_${slot}`);
    const start = (): Promise<Worker> =>
      startWorker({
        bus: { servers: nats.url, fsync: "always" },
        sources: {
          shop: {
            kind: "postgres",
            url: database.url,
            tables: ["public.item"],
            slot,
            timeout: "1s",
            messages: ["read"],
          },
        },
      });
    let worker = await start();
    await waitFor(async () => (await countMessages(nats.url, "shop")).markers > 1, { what: "the first start" });
    for (let round = 1; round <= ROUNDS; round++) {
      if (where === "inside") await database.query("begin");
      await database.query(before);
      if (where === "outside") await untilAcknowledged(database, slot);
      await worker.stop();
      await database.query(`insert into item values (${round})`);
      if (where === "inside") await database.query("commit");
      worker = await start();
      await waitFor(async () => (await countMessages(nats.url, "shop")).events === round, { what: `row ${round}` });
    }
    await untilAcknowledged(database, slot);
    await worker.stop();
    const committed = (await truth.read()).filter(({ collection }) => collection === "item");

    const messages = (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => subject.includes(".message."));
    expect(messages).toHaveLength(before.includes("'read'") ? ROUNDS : 0);
    expect(committed).toHaveLength(ROUNDS);
    await assertGuarantees({ truth: committed, natsUrl: nats.url, source: "shop" });
  });
});
