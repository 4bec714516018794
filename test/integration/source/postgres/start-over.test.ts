// After a loss that was accepted: each way to lose the log leads to one new history, whose markers name the gap.

import { execFileSync } from "node:child_process";
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../../../src/dev/postgres.ts";
import type { Position } from "../../../../src/event/position.ts";
import { type PostgresFixture, postgresFixture } from "../../../support/postgres/fixture.ts";
import {
  failureOf,
  type OpenOptions,
  openShop,
  Reading,
  TestMemory,
  type TestSource,
} from "../../../support/postgres/reader.ts";
import { reached } from "../../../support/postgres/transactions.ts";
import { type Database, freshDatabase, freshPostgres, missing, scratchDir } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const TABLE = "create table orders(id int primary key, status text)";
const SLOT = "millrace_shop";
const onGap: OpenOptions = { options: { onGap: "continue" } };

interface Stored {
  readonly memory: TestMemory;
  /** Where the stream ends. */
  readonly last: Position;
}

const insert = async (database: Database, ...ids: readonly number[]): Promise<void> => {
  for (const id of ids) await database.query("insert into orders values ($1)", [id]);
};

/** Reads some rows behind the place, and leaves the source closed. */
async function readRows(source: TestSource, count: number, from?: Position): Promise<Stored> {
  const reading = new Reading(source, from);
  await reading.rows(count);
  await reading.stop();
  await source[Symbol.asyncDispose]();
  const last = reading.last;
  if (last === undefined) throw new Error("nothing was read");
  return { memory: source.memory, last };
}

/** Opens and reads; where the source says that it starts over, opens it once more, as the worker does. */
async function restart(url: string, { memory, last }: Stored, options: OpenOptions): Promise<Reading> {
  const begin = async (): Promise<Reading> => {
    const source = await openShop(url, { memory, ...options });
    onTestFinished(() => source[Symbol.asyncDispose]());
    const reading = new Reading(source, last);
    await reading.until(() => reading.events.length > 0, "the markers").catch(() => {});
    return reading;
  };
  const reading = await begin();
  if (reading.failure === undefined) return reading;
  expect(reading.failure).toMatchObject({ name: "TransientError", code: "SOURCE_STARTS_OVER" });
  return begin();
}

/** The two markers that a reading begins with. */
function markersOf(reading: Reading): readonly [gap: Record<string, unknown>, history: Record<string, unknown>] {
  const [gap, history] = reading.events;
  expect([gap?.subject, history?.subject]).toEqual(["meta.shop.gap", "meta.shop.history"]);
  expect(gap?.position).toBe(history?.position);
  const bodyOf = (event: typeof gap): Record<string, unknown> =>
    JSON.parse(Buffer.from(event?.data ?? []).toString("utf8"));
  return [bodyOf(gap), bodyOf(history)];
}

/** What must hold of every new history. */
function expectHistory(reading: Reading, stored: Stored, code: string, history: number): void {
  const [gap, begin] = markersOf(reading);
  const first = reading.events[0]?.position;
  expect(gap).toMatchObject({ code, after: stored.last, upTo: first, slot: SLOT });
  expect(begin).toMatchObject({ code, history, slot: SLOT });
  expect(stored.memory.value).toMatchObject({ stage: "created", history, cause: { code } });
  const number = history.toString(16).padStart(4, "0");
  for (const { position } of reading.messages) {
    expect(position.startsWith(`${number}.`)).toBe(true);
    expect(position > stored.last).toBe(true);
  }
}

const loseSlot = "select pg_drop_replication_slot('millrace_shop')";

describe.skipIf(missing("postgres"))("a Postgres source that starts over", () => {
  const fixture = postgresFixture(TABLE);
  const stored = async (): Promise<Stored> => {
    const source = await fixture.open();
    await insert(fixture.database, 1);
    return readRows(source, 1);
  };

  describe.each<[string, OpenOptions]>([
    ['with onGap: "continue"', onGap],
    ["with --adopt", { adopt: true }],
  ])("%s", (_, options) => {
    test.each([
      ["SLOT_MISSING", loseSlot],
      ["PUBLICATION_MISSING", "drop publication millrace_shop"],
      [
        "PUBLICATION_MISSING",
        "drop publication millrace_shop; insert into orders values (2); create publication millrace_shop for table orders; insert into orders values (3)",
      ],
    ])("goes on behind %s", async (code, sql) => {
      const before = await stored();
      for (const statement of sql.split("; ")) await fixture.database.query(statement);
      const strict = openShop(fixture.database.url, { memory: before.memory }).then(async (source) => {
        onTestFinished(() => source[Symbol.asyncDispose]());
        throw await new Reading(source, before.last).ended;
      });
      expect(await failureOf(strict)).toMatchObject({ name: "HistoryLostError", code });
      expect(before.memory.value).toMatchObject({ stage: "created", history: 1 });
      await insert(fixture.database, 8);

      const reading = await restart(fixture.database.url, before, options);
      await insert(fixture.database, 9);
      expect(await reading.rows(1)).toMatchObject([{ key: { id: 9 } }]);
      expectHistory(reading, before, code, 2);
      const stages = before.memory.saves.map(({ stage }) => stage);
      const changes = stages.filter((stage, index) => stage !== stages[index - 1]);
      expect(changes.slice(-3)).toEqual(["abandoned", "planned", "created"]);
      expect(await slots(fixture)).toBe(1);
      await reading.stop();
    });

    test("goes on behind a stream whose history is newer than the slot's", async () => {
      const before = await stored();
      const ahead = { ...before, last: before.last.replace(/^0001/, "0007") as Position };

      const reading = await restart(fixture.database.url, ahead, options);
      await insert(fixture.database, 9);
      expect(await reading.rows(1)).toMatchObject([{ key: { id: 9 } }]);
      expectHistory(reading, ahead, "SOURCE_HISTORY", 8);
      await reading.stop();
    });

    test("goes on in the same history behind a slot that was advanced", async () => {
      const before = await stored();
      await insert(fixture.database, 2);
      await fixture.database.query("select pg_replication_slot_advance($1, pg_current_wal_lsn())", [SLOT]);
      await insert(fixture.database, 3);

      const reading = await restart(fixture.database.url, before, options);
      expect(await reading.rows(1)).toMatchObject([{ key: { id: 3 } }]);
      expectHistory(reading, before, "SLOT_ADVANCED", 1);
      await reading.stop();
    });
  });

  test.each(["abandoned", "planned", "created"])(
    "and dies before it can save '%s' comes to the same end",
    async (stage) => {
      const before = await stored();
      await fixture.database.query("drop publication millrace_shop");
      const { memory } = before;
      memory.onSave = (value) => {
        if (value.stage === stage) throw new Error("died here");
      };
      await failureOf(openShop(fixture.database.url, { memory, adopt: true }));
      memory.onSave = () => {};

      // What was accepted is on record: only before that it must be said again.
      const reading = await restart(fixture.database.url, before, stage === "abandoned" ? { adopt: true } : {});
      await insert(fixture.database, 9);
      expect(await reading.rows(1)).toMatchObject([{ key: { id: 9 } }]);
      expectHistory(reading, before, "PUBLICATION_MISSING", 2);
      expect(await slots(fixture)).toBe(1);
      await reading.stop();
    },
  );

  test("says the same markers until they are stored, and follows its new history then", async () => {
    const before = await stored();
    await fixture.database.query(loseSlot);
    const first = await restart(fixture.database.url, before, onGap);
    await insert(fixture.database, 2);
    await first.rows(1);
    await first.stop();

    const again = await restart(fixture.database.url, before, {});
    expect(await again.rows(1)).toMatchObject([{ key: { id: 2 } }]);
    expect(markersOf(again)).toEqual(markersOf(first));
    const after = again.last;
    await again.stop();
    await insert(fixture.database, 3);
    const source = await openShop(fixture.database.url, { memory: before.memory });
    onTestFinished(() => source[Symbol.asyncDispose]());
    const reading = new Reading(source, after);
    expect(await reading.rows(1)).toMatchObject([{ key: { id: 3 } }]);
    expect(reading.events.filter(({ subject }) => subject.startsWith("meta."))).toEqual([]);
    await reading.stop();
  });

  test("is not told to drop log by what belongs to the old history", async () => {
    const before = await stored();
    await fixture.database.query(loseSlot);
    await insert(fixture.database, 2);
    const source = await openShop(fixture.database.url, { memory: before.memory, ...onGap });
    onTestFinished(() => source[Symbol.asyncDispose]());
    const confirmed = () => fixture.value("select confirmed_flush_lsn::text from pg_replication_slots");
    const made = await confirmed();
    const reading = new Reading(source, before.last);
    await reading.until(() => reading.events.length > 0, "the markers");
    await source.acknowledge(reached(before.last));
    await insert(fixture.database, 3);
    await reading.rows(1);
    expect(await confirmed()).toBe(made);

    await reading.acknowledge();
    await waitFor(async () => (await confirmed()) !== made, { what: "the new history to be acknowledged" });
    await reading.stop();
  });

  test("takes over a slot without a record though the stream is ahead of the server, by --adopt", async () => {
    await fixture.database.query("create publication millrace_shop for table orders");
    await fixture.database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    await insert(fixture.database, 1);
    const last = "0004.00ffffffffffffff.0000000000000000.a000000+" as Position;
    const before = { memory: new TestMemory(), last };

    const reading = await restart(fixture.database.url, before, { adopt: true });
    expect(await reading.rows(1)).toMatchObject([{ key: { id: 1 } }]);
    expectHistory(reading, before, "SOURCE_REWOUND", 5);
    await reading.stop();
  });

  test("does not drop a slot that somebody reads", async () => {
    const before = await stored();
    await fixture.database.query("drop publication millrace_shop");
    await using other = await openReader(fixture);
    const error = await failureOf(openShop(fixture.database.url, { memory: before.memory, ...onGap }));
    expect(error).toMatchObject({ name: "TransientError", code: "SLOT_ACTIVE" });
    expect(await slots(fixture)).toBe(1);
    await other[Symbol.asyncDispose]();

    const reading = await restart(fixture.database.url, before, {});
    expectHistory(reading, before, "PUBLICATION_MISSING", 2);
    await reading.stop();
  });

  test.each([
    ["SLOT_WRONG_PLUGIN", "select pg_create_logical_replication_slot('millrace_shop', 'test_decoding')"],
    ["SLOT_WRONG_PLUGIN", "select pg_create_physical_replication_slot('millrace_shop')"],
  ])("never does so over somebody else's slot: %s", async (code, sql) => {
    const before = await stored();
    await fixture.database.query(loseSlot);
    await fixture.database.query(sql);
    onTestFinished(async () => void (await fixture.database.query(loseSlot).catch(() => {})));

    const error = await failureOf(openShop(fixture.database.url, { memory: before.memory, adopt: true, ...onGap }));
    expect(error).toMatchObject({ name: "ConfigError", code });
    expect(before.memory.value).toMatchObject({ stage: "created", history: 1 });
    await fixture.database.query(loseSlot);
  });

  test("asks for the publication that it may not make before it drops anything", async () => {
    const before = await stored();
    await fixture.database.query("drop publication millrace_shop");
    await fixture.database.query("drop role if exists repl; create role repl login replication");
    const url = fixture.database.url.replace("postgres@", "repl@");
    const error = await failureOf(openShop(url, { memory: before.memory, ...onGap }));
    expect(error).toMatchObject({ name: "ConfigError", code: "PUBLICATION_MISSING" });
    expect(await slots(fixture)).toBe(1);

    await fixture.database.query("create publication millrace_shop for table orders");
    const reading = await restart(url, before, {});
    expectHistory(reading, before, "PUBLICATION_MISSING", 2);
    await reading.stop();
  });
});

describe.skipIf(missing("postgres"))("a Postgres source that starts over on a server", () => {
  test("that gave up its slot, for too much log or for idleness", async () => {
    const server = await freshPostgres({ max_slot_wal_keep_size: "1MB" });
    for (const cause of ["wal", "idle"]) {
      await using database = await freshDatabase(server);
      await database.query(TABLE);
      const source = await openShop(database.url);
      await insert(database, 1);
      const before = await readRows(source, 1);
      if (cause === "idle") {
        await database.query("alter system set idle_replication_slot_timeout = '1s'");
        await database.query("select pg_reload_conf()");
      }
      await waitFor(
        async () => {
          if (cause === "wal") await database.query("select pg_logical_emit_message(false, 'x', 'y'), pg_switch_wal()");
          await database.query("checkpoint");
          const [slot] = await database.query<{ reason: string | null }>(
            "select invalidation_reason as reason from pg_replication_slots where database = current_database()",
          );
          return slot?.reason != null;
        },
        { what: "the slot to be given up" },
      );

      const reading = await restart(database.url, before, onGap);
      await insert(database, 2);
      expect(await reading.rows(1)).toMatchObject([{ key: { id: 2 } }]);
      expectHistory(reading, before, "SLOT_LOST", 2);
      await reading.stop();
    }
  });

  test("that is another cluster: a slot found there is not its own", async () => {
    await using first = await freshDatabase(await freshPostgres());
    await first.query(TABLE);
    const source = await openShop(first.url);
    await insert(first, 1);
    const before = await readRows(source, 1);
    await using second = await freshDatabase(await freshPostgres());
    await second.query(TABLE);
    // A copied configuration may have it too: only a person can say that it is no other's stream.
    const refused = await failureOf(openShop(second.url, { memory: before.memory, ...onGap }));
    expect(refused).toMatchObject({ name: "HistoryLostError", code: "SOURCE_OTHER_CLUSTER" });
    const reading = await restart(second.url, before, { adopt: true });
    await insert(second, 2);
    expect(await reading.rows(1)).toMatchObject([{ key: { id: 2 } }]);
    expectHistory(reading, before, "SOURCE_OTHER_CLUSTER", 2);
    await reading.stop();

    // Back on the first one, where a slot of that name is still.
    const moved = { memory: before.memory, last: reading.last ?? before.last };
    await insert(first, 3);
    const error = await failureOf(openShop(first.url, { memory: moved.memory, ...onGap }));
    expect(error).toMatchObject({ name: "HistoryLostError", code: "SOURCE_OTHER_CLUSTER" });
    const back = await restart(first.url, moved, { adopt: true });
    // From where it stands, which was never acknowledged: in another history a row may come once more.
    expect(await back.rows(2)).toMatchObject([{ key: { id: 1 } }, { key: { id: 3 } }]);
    expectHistory(back, moved, "SOURCE_OTHER_CLUSTER", 3);
    await back.stop();
  });

  test("that was set back", async () => {
    const { server, database, before, copy } = await serverWithCopy();
    const source = await openShop(database.url, { memory: before.memory });
    await database.query("insert into orders select generate_series(2, 2000)");
    const ahead = await readRows(source, 1999, before.last);
    await server.stop();
    rmSync(server.dataDir, { recursive: true });
    renameSync(copy, server.dataDir);
    await server.restart();
    const strict = await openShop(database.url, { memory: before.memory });
    onTestFinished(() => strict[Symbol.asyncDispose]());
    expect(await new Reading(strict, ahead.last).ended).toMatchObject({ code: "SOURCE_REWOUND" });
    await strict[Symbol.asyncDispose]();

    const reading = await restart(database.url, ahead, onGap);
    await insert(database, 2);
    expect(await reading.rows(1)).toMatchObject([{ key: { id: 2 } }]);
    expectHistory(reading, ahead, "SOURCE_REWOUND", 2);
    await reading.stop();
  });

  test.each([
    ["SOURCE_TIMELINE", "has the slot: nothing of its own log is lost", []],
    ["SLOT_MISSING", "has no slot", [loseSlot]],
  ] as const)("that was promoted before what is stored: %s, for it %s", async (code, _, statements) => {
    const { server, database, before, copy } = await serverWithCopy();
    const source = await openShop(database.url, { memory: before.memory });
    await insert(database, 2, 3);
    const phantom = await readRows(source, 2, before.last);
    await server.stop();
    writeFileSync(join(copy, "standby.signal"), "");
    chmodSync(join(copy, "standby.signal"), 0o666); // the server may be another user's
    await using promoted = await startPostgres({ dataDir: copy, port: server.port, settings: { fsync: "off" } });
    expect(promoted.dataDir).toBe(copy);
    await database.query("select pg_promote()");
    await insert(database, 2, 4);
    for (const statement of statements) await database.query(statement);

    const reading = await restart(database.url, phantom, onGap);
    await insert(database, 5);
    const kept = code === "SOURCE_TIMELINE" ? [2, 4, 5] : [5];
    expect((await reading.rows(kept.length)).map(({ key }) => key)).toEqual(kept.map((id) => ({ id })));
    expectHistory(reading, phantom, code, 2);
    const [gap] = markersOf(reading);
    const range = gap.phantom as { readonly after: Position; readonly upTo: Position };
    // The first row was stored before the switch, the others are no more.
    expect(range.upTo).toBe(phantom.last);
    expect(range.after >= before.last && range.after < phantom.last).toBe(true);
    expect(phantom.memory.value).toMatchObject({ timeline: 2 });
    const marker = reading.last;
    await reading.stop();

    // Once stored it is the source's own log: no policy is needed any more.
    await insert(database, 6);
    const again = await openShop(database.url, { memory: phantom.memory });
    onTestFinished(() => again[Symbol.asyncDispose]());
    const next = new Reading(again, marker);
    expect(await next.rows(1)).toMatchObject([{ key: { id: 6 } }]);
    await next.stop();
    await again[Symbol.asyncDispose]();
  });
});

/** A server whose source has read one row, and its files as they were then. */
async function serverWithCopy(): Promise<{
  readonly server: PostgresServer;
  readonly database: Database;
  readonly before: Stored;
  readonly copy: string;
}> {
  const dir = await scratchDir();
  const server = await startPostgres({ dataDir: join(dir, "primary"), settings: { fsync: "off" } });
  onTestFinished(() => server.stop("immediate"));
  const database = await freshDatabase(server);
  await database.query(TABLE);
  const source = await openShop(database.url);
  await insert(database, 1);
  const before = await readRows(source, 1);
  await server.stop();
  const copy = join(dir, "copy");
  execFileSync("cp", ["-a", server.dataDir, copy]); // with its owner
  await server.restart();
  return { server, database, before, copy };
}

/** Reads the source's slot, as another worker would. */
async function openReader({ database, value }: PostgresFixture): Promise<AsyncDisposable> {
  const client = new Client({ connectionString: database.url, replication: "database" } as ClientConfig);
  client.on("error", () => {}); // it is cut off in the end
  await client.connect();
  const { connection } = client as unknown as { readonly connection: { readonly stream: { destroy(): void } } };
  client
    .query(`START_REPLICATION SLOT ${SLOT} LOGICAL 0/0 (proto_version '1', publication_names '${SLOT}')`)
    .catch(() => {}); // likewise
  await waitFor(
    async () => (await value("select active from pg_replication_slots where slot_name = $1", [SLOT])) === true,
    {
      what: "the other reader",
    },
  );
  return { [Symbol.asyncDispose]: async () => connection.stream.destroy() };
}

async function slots({ value }: PostgresFixture): Promise<unknown> {
  return value("select count(*)::int from pg_replication_slots where database = current_database()");
}
