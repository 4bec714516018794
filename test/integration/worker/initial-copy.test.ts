// `backfill: "initial"` on real servers: rows that a table had come into the stream once, through restarts, a rename, a table that
// joins and a slot that is lost.

import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker, type WorkerOptions } from "../../../src/app.ts";
import { newestProgress } from "../../support/bus/order-backfill.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const timing = { idleCheckMs: 500, lagEveryMs: 300 };

async function shop(tables: string, options: Readonly<Record<string, unknown>>) {
  const nats = await freshNats();
  const database: Database = await freshDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query(tables);
  const source = { kind: "postgres", url: database.url, timeout: "600ms", ...options };
  const start = async (more: WorkerOptions = {}): Promise<Worker> => {
    const config = { bus: { servers: nats.url, fsync: "2m" }, sources: { shop: source } };
    const worker = await startWorker(config, { timing, ...more });
    worker.finished.catch(() => {}); // the test that waits for it sees it
    onTestFinished(() => worker.stop());
    return worker;
  };
  const completed = (backfill: number) =>
    waitFor(
      async () => {
        const newest = await newestProgress(nats.url);
        return newest?.backfill === backfill && newest.state === "completed";
      },
      { what: `copy ${backfill} to be complete` },
    );
  /** By table, what was read of it, in the order of the stream. */
  const read = async (): Promise<readonly string[]> =>
    (await readStream(nats.url, "CDC_SHOP")).flatMap(({ subject, text }) => {
      const [, , , table, op] = subject.split(".");
      return op === "read" ? `${table} ${(JSON.parse(text) as { key: { id: number } }).key.id}` : [];
    });
  return { nats, database, start, completed, read };
}

const TABLES = `
  create table orders(id int primary key); insert into orders values (1), (2);
  create table items(id int primary key); insert into items values (1);
  create table logs(id int primary key); insert into logs values (1);`;

describe.skipIf(missing("postgres", "nats"))("rows that a table had before", () => {
  test("are copied once where the configuration says so, by restarts, beside a second worker, of a table that joins or is renamed, behind --adopt", {
    timeout: 60_000,
  }, async () => {
    const tables = ["public.*", { match: "public.logs", backfill: "none" }];
    const { database, start, completed, read } = await shop(TABLES, { tables, backfill: "initial" });
    const first = await start();
    const second = await start();
    await completed(1);
    const initial = await read();
    await first.stop();
    await second.stop();

    const third = await start();
    await database.query("alter table orders rename to purchases; alter table items rename to a_items");
    await database.query("create table late(id int primary key); insert into late values (7)");
    await completed(2);
    await third.stop();

    await database.query("select pg_drop_replication_slot('millrace_shop')");
    await database.query("create table latest(id int primary key); insert into latest values (9)");
    const fourth = await start({ adopt: true });
    await completed(3);
    await fourth.stop();

    expect(initial.toSorted()).toEqual(["items 1", "orders 1", "orders 2"]);
    expect(await read()).toEqual([...initial, "late 7", "latest 9"]);
  });

  test("are not copied where nobody says so, and of one table alone where its item does", async () => {
    const none = await shop(TABLES, {});
    const worker = await none.start();
    const stream = await shop(TABLES, {
      slot: "of_the_other", // names of slots are the server's
      tables: ["public.*", { match: "public.orders", backfill: "initial" }],
    });
    const other = await stream.start();
    await stream.completed(1);
    await none.database.query("insert into orders values (3)");
    const created = async () =>
      (await readStream(none.nats.url, "CDC_SHOP")).some(({ subject }) => /created/.test(subject));
    await waitFor(created, { what: "the stream to move" });
    await worker.stop();
    await other.stop();

    expect(await stream.read()).toEqual(["orders 1", "orders 2"]);
    expect(await none.read()).toEqual([]);
    expect(await newestProgress(none.nats.url)).toBeUndefined();
  });
});
