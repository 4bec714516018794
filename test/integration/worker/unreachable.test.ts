// A database or a bus that is only away: said once, waited for, and then everything goes on in the same process.

import { describe, expect, test } from "vitest";
import { countMessages } from "../../support/bus/count-messages.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshDatabase, freshNats, freshPostgres, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("a worker whose", () => {
  const servers = async () => {
    const nats = await freshNats();
    const postgres = await freshPostgres();
    const database = await freshDatabase(postgres);
    await database.query("create table item(id int primary key)");
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url } },
    };
    const rows = (count: number) =>
      waitFor(async () => (await countMessages(nats.url, "shop")).events === count, {
        what: `${count} rows`,
      });
    return { nats, postgres, database, config, rows };
  };
  const said = (worker: WorkerProcess, event: string): number =>
    worker.logLines().filter((line) => line.event === event).length;

  test("database is away at the start begins when it is there", async () => {
    const { nats, postgres, database, config, rows } = await servers();
    await postgres.stop();
    await using worker = await WorkerProcess.start(config);
    const line = await worker.logged("source_retrying");
    const before = await countMessages(nats.url, "shop");
    await postgres.restart();
    await worker.logged("source_started");
    await database.query("insert into item values (1)");
    await rows(1);

    expect(line).toMatchObject({ code: "SOURCE_UNREACHABLE", hint: expect.stringMatching(/./) });
    expect(before).toEqual({ events: 0, markers: 0 });
    expect(said(worker, "source_retrying")).toBe(1);
    expect(await worker.stop()).toBe(0);
  });

  test("bus is away at the start begins when it is there", async () => {
    const { nats, database, config, rows } = await servers();
    await nats.stop();
    await using worker = await WorkerProcess.start(config);
    const line = await worker.logged("bus_disconnected");
    const slots = await database.query("select 1 from pg_replication_slots where database = current_database()");
    await nats.restart();
    await worker.logged("source_started");
    await database.query("insert into item values (1)");
    await rows(1);

    expect(line).toMatchObject({ code: "BUS_UNREACHABLE", hint: expect.stringMatching(/./) });
    expect(slots).toEqual([]);
    expect(said(worker, "bus_disconnected")).toBe(1);
    expect(await worker.stop()).toBe(0);
  });

  test("database goes away and comes back goes on", async () => {
    const { postgres, database, config, rows } = await servers();
    await using worker = await WorkerProcess.start(config);
    await worker.logged("source_started");
    await database.query("insert into item values (1)");
    await rows(1);
    await postgres.stop("immediate");
    await worker.logged("source_retrying");
    await postgres.restart();
    await database.query("insert into item values (2)");
    await rows(2);

    expect(said(worker, "source_retrying")).toBe(1);
    expect(await worker.stop()).toBe(0);
  });

  test("bus goes away and comes back goes on", async () => {
    const { nats, database, config, rows } = await servers();
    await using worker = await WorkerProcess.start(config);
    await worker.logged("source_started");
    await database.query("insert into item values (1)");
    await rows(1);
    await nats.stop();
    await worker.logged("bus_disconnected");
    await database.query("insert into item values (2)");
    await nats.restart();
    await rows(2);

    expect(said(worker, "bus_disconnected")).toBe(1);
    expect(await worker.stop()).toBe(0);
  });
});
