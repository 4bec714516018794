// Ten thousand transactions that emit, a third of them rolled back, while the worker is killed again and again: exactly the
// committed events, in commit order, in both modes.

import { describe, expect, test } from "vitest";
import { migrationSql } from "../../src/outbox/migration-sql.ts";
import { outbox } from "../../src/outbox.ts";
import { Random } from "../support/bus/scripted-bus.ts";
import { readStream, type StreamEvent } from "../support/bus/stream-events.ts";
import { seedOf } from "../support/fault-ground.ts";
import { brokenLinks } from "../support/postgres/transactions.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { type Database, freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

/** `OUTBOX_TRANSACTIONS=10000` for the full size. */
const TRANSACTIONS = Number(process.env.OUTBOX_TRANSACTIONS ?? 1500);
const KILLS = TRANSACTIONS >= 10_000 ? 10 : 3;
const WRITERS = 4;

/** Each inserts a row, emits, inserts the next row, and emits once more inside a part that is rolled back. */
async function write(database: Database, random: Random, mode: "message" | undefined, ids: readonly number[]) {
  const client = await database.connect();
  const { emit } = outbox(client, mode === undefined ? {} : { mode });
  let rolledBack = 0;
  for (const id of ids) {
    await client.query("begin");
    await client.query("insert into item values ($1)", [id]);
    await emit("item.first", { key: id % 50, data: { id } });
    await client.query("insert into item values ($1)", [-id]);
    await client.query("savepoint part");
    await emit("item.gone", { key: id, data: { id } });
    await client.query("rollback to savepoint part");
    if (id % 2 === 0) await emit("item.second", { key: id % 50, data: { id: -id } });
    const away = random.below(3) === 0;
    if (away) rolledBack++;
    await client.query(away ? "rollback" : "commit");
  }
  await client.end();
  return rolledBack;
}

/** What Postgres itself says was committed, in its order: rows, and events out of the table or out of messages. */
async function readTruth(database: Database): Promise<readonly string[]> {
  const rows = await database.query<{ xid: string; data: string }>(
    "select xid::text, data from pg_logical_slot_get_changes('truth', null, null)",
  );
  return rows.flatMap(({ xid, data }) => {
    const [, row] = /^table public\.item: INSERT: id\[integer\]:(-?\d+)$/.exec(data) ?? [];
    const [, inTable] = /^table millrace\.outbox: INSERT: id\[uuid\]:'([^']+)'/.exec(data) ?? [];
    const [, message] = /prefix: millrace\.outbox, .*"id": ?"([^"]+)"/.exec(data) ?? [];
    const name = row ?? inTable ?? message;
    return name === undefined ? [] : [`${xid} ${name}`];
  });
}

function nameOf({ subject, header, text }: StreamEvent): string {
  const name = subject.startsWith("events.")
    ? header("ce-id")
    : (JSON.parse(text) as { readonly key: { readonly id: number } }).key.id;
  return `${header("Cdc-Tx")} ${name}`;
}

describe.skipIf(missing("postgres", "nats"))("exactly the committed events come, in commit order, from", () => {
  test.each([
    ["the table", undefined],
    ["messages", "message"],
  ] as const)("%s while the worker is killed", async (name, mode) => {
    const random = new Random(seedOf(`outbox from ${name}`));
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query(`create table item(id int primary key); ${migrationSql("outbox")}`);
    await database.query("select pg_create_logical_replication_slot('truth', 'test_decoding')");
    const slot = `outbox_${mode ?? "table"}`;
    const source = { kind: "postgres", url: database.url, slot, outbox: mode === undefined ? true : { mode } };
    let worker = await WorkerProcess.start({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: source },
    });
    await worker.logged("source_started");
    const stored = async (): Promise<readonly StreamEvent[]> =>
      (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => /^(cdc|events)\./.test(subject));

    let rolledBack = 0;
    for (let round = 0; round <= KILLS; round++) {
      const of = (part: number): number => Math.floor((TRANSACTIONS * part) / (KILLS + 1));
      const ids = Array.from({ length: of(round + 1) - of(round) }, (_, at) => of(round) + at + 1);
      const writing = Array.from({ length: WRITERS }, (_, writer) =>
        write(
          database,
          random,
          mode,
          ids.filter((id) => id % WRITERS === writer),
        ),
      );
      if (round < KILLS) {
        const starts = (): number => worker.logLines().filter(({ event }) => event === "source_started").length;
        await waitFor(() => starts() > round, { what: "the next worker to run" });
        await worker.kill();
        worker = await worker.again();
      }
      for (const one of writing) rolledBack += await one;
    }
    const committed = await readTruth(database);
    await waitFor(async () => (await stored()).length >= committed.length, { what: "all of it", timeoutMs: 60_000 });
    const events = await stored();
    expect(await worker.stop()).toBe(0);

    expect(rolledBack).toBeGreaterThan(TRANSACTIONS / 4);
    expect(committed.length).toBeGreaterThan(1.2 * TRANSACTIONS);
    expect(events.map(nameOf)).toEqual(committed);
    expect(brokenLinks(await readStream(nats.url, "CDC_SHOP"))).toEqual([]);
    const domain = events.filter(({ subject }) => subject.startsWith("events."));
    expect(domain.every(({ subject }) => /^events\.shop\.item\.(first|second)\.p\d\d$/.test(subject))).toBe(true);
    expect(new Set(domain.map(({ header }) => header("ce-id"))).size).toBe(domain.length);
    expect(await database.query("select from millrace.outbox")).toEqual([]);
  });
});
