// The guarantees on a real run: the built worker drains writes of many shapes, and the judge finds nothing wrong.

import { describe, expect, test } from "vitest";
import { readStream } from "../../support/bus/stream-events.ts";
import { assertGuarantees } from "../../support/check/guarantees.ts";
import { createTruthSlot } from "../../support/check/truth.ts";
import { watchAcknowledged } from "../../support/postgres/watch-acknowledged.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("a worker in a process of its own", () => {
  test("streams what was committed, before and after a kill, and drains on SIGTERM", async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query(`create table item(id bigint, sub int, body jsonb, at timestamptz default clock_timestamp(),
        price numeric, doc text, done boolean, ratio double precision, primary key (id, sub));
      create table whole("the id" int primary key, "Big" text); alter table whole replica identity full`);
    const truth = await createTruthSlot(database.url);
    const names = { url: database.url, slot: "millrace_shop", natsUrl: nats.url, stream: "CDC_SHOP" };
    const acknowledged = watchAcknowledged(names);

    await using first = await WorkerProcess.start({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.*"] } },
    });
    await first.logged("source_started");
    const write = async (from: number): Promise<void> => {
      await database.query(`insert into item select ${from} + i, i % 3, '{"n": 12345678901234567890}', clock_timestamp(), i / 7.0,
        repeat(md5(i::text), 400), i % 2 = 0, i / 3.0 from generate_series(1, 40) i`);
      await database.query("update item set price = 'NaN', done = null where id = $1", [from + 1]);
      await database.query("update item set sub = 9 where id = $1", [from + 2]);
      await database.query("delete from item where id = $1", [from + 3]);
      await database.query(`begin; insert into whole values (${from}, repeat(md5('x'), 4000));
        update whole set "the id" = ${from + 1} where "the id" = ${from}; delete from whole where "the id" = ${from + 1};
        savepoint s; delete from item; rollback to s; commit`);
    };
    await write(0);
    await first.kill();
    await write(1_000);
    await using second = await first.again();
    await write(2_000);
    await database.query("truncate item, whole");
    const committed = await truth.read();
    await waitFor(
      async () => {
        const events = await readStream(nats.url, "CDC_SHOP");
        return events.filter(({ subject }) => subject.startsWith("cdc.")).length >= committed.length;
      },
      { what: "the stream to hold all changes" },
    );
    const samples = await acknowledged.stop();

    expect(await second.stop()).toBe(0);
    await assertGuarantees({ truth: committed, natsUrl: nats.url, source: "shop", samples });
    expect(samples.length).toBeGreaterThan(0);
  });
});
