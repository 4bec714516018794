// The guard at a real Postgres: each of its limits, crossed and left again; and what it does while it sees nothing.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { realClock } from "../../../../../src/clock.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { Guard, type GuardEvent } from "../../../../../src/monitor/guard.ts";
import { parsePostgresConfig } from "../../../../../src/source/postgres/options/config.ts";
import { SlotRetention } from "../../../../../src/source/postgres/slot/slot-retention.ts";
import { RecordedLog } from "../../../../support/postgres/recorded-log.ts";
import { writeSteadily } from "../../../../support/postgres/write-steadily.ts";
import { type Database, freshDatabase, freshPostgres, missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

const SHOP = "shop" as SourceId;
const slot = "millrace_shop";

function guardOf(database: Pick<Database, "url">, guard: object, heldByBusSeconds = 0, full: object = {}) {
  const stop = new AbortController();
  const log = new RecordedLog();
  const events: GuardEvent[] = [];
  const watching = new Guard({
    source: SHOP,
    kind: "postgres",
    watch: new SlotRetention(SHOP, parsePostgresConfig({ url: database.url, guard, ...full }, "sources.shop")),
    everyMs: 50,
    heldByBusSeconds,
    clock: realClock,
    log,
    owned: () => true,
    through: () => undefined,
    onCrossing: (event) => events.push(event),
    onStop: () => {},
    signal: stop.signal,
  });
  onTestFinished(async () => {
    stop.abort();
    await watching.ended;
  });
  const said = (measure: string, state: GuardEvent["state"]) =>
    waitFor(() => events.find((event) => event.measure === measure && event.state === state), {
      what: `${measure} ${state}`,
    });
  return { watching, log, events, said };
}

const emit = (database: Database, bytes: number) =>
  database.query("select pg_logical_emit_message(false, 'x', repeat('x', $1))", [bytes]);
/** As its reader would acknowledge all there is. The slot's beginning follows at the next snapshot of what runs. */
const advance = (database: Database) =>
  database.query("select pg_log_standby_snapshot(), pg_replication_slot_advance($1, pg_current_wal_lsn())", [slot]);

describe.skipIf(missing("postgres"))("the guard", () => {
  async function withSlot(): Promise<Database> {
    const database = await freshDatabase();
    onTestFinished(() => database[Symbol.asyncDispose]());
    await database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    return database;
  }

  test("retainedBytes: says once that the slot holds more, and once that it holds less", async () => {
    const database = await withSlot();
    const { watching, log, said } = guardOf(database, { retainedBytes: 1_000_000 });
    await waitFor(() => watching.hold?.retainedBytes, { what: "a first look" });
    expect(watching.exceeded.size).toBe(0);
    await emit(database, 2_000_000);
    await said("retainedBytes", "exceeded");
    await emit(database, 2_000_000);
    expect(watching.exceeded).toContain("retainedBytes");
    await waitFor(async () => (await advance(database)) && watching.exceeded.size === 0, {
      what: "the slot to move on",
    });
    await said("retainedBytes", "recovered");

    expect(log.of("guard_exceeded")).toMatchObject([
      { source: "shop", measure: "retainedBytes", limit: 1_000_000, hint: expect.stringContaining("docs/operations/") },
    ]);
    expect(log.of("guard_recovered")).toMatchObject([{ measure: "retainedBytes" }]);
  });

  test("lag: says how old the oldest log is that nobody acknowledges, beyond what the bus holds back", async () => {
    const database = await withSlot();
    const strict = guardOf(database, { lag: "300ms" });
    const lenient = guardOf(database, { lag: "300ms" }, 3600);
    await waitFor(() => strict.watching.hold && lenient.watching.hold, { what: "a first look" });
    await emit(database, 1000);
    const event = await strict.said("lagSeconds", "exceeded");
    await waitFor(() => (lenient.watching.hold?.lagSeconds ?? 0) > 0.5, { what: "the lag to be seen" });
    await advance(database);
    await strict.said("lagSeconds", "recovered");

    expect(event.value).toBeGreaterThan(0.3);
    expect(event.value).toBeLessThan(10);
    expect(lenient.events).toEqual([]);
  });

  test("catalogXminAge: says that VACUUM must leave too much", async () => {
    const database = await withSlot();
    const { watching, said } = guardOf(database, { catalogXminAge: 20 });
    for (let n = 0; n < 25; n++) await database.query("select pg_current_xact_id()");

    expect((await said("catalogXminAge", "exceeded")).value).toBeGreaterThan(20);
    await waitFor(async () => (await advance(database)) && watching.exceeded.size === 0, {
      what: "the slot to let the catalog go",
    });
    await said("catalogXminAge", "recovered");
  });

  test("a slot that is dropped by somebody ends what it exceeded", async () => {
    const database = await withSlot();
    const { watching, said } = guardOf(database, { retainedBytes: 1_000_000 });
    await emit(database, 2_000_000);
    await said("retainedBytes", "exceeded");
    await database.query("select pg_drop_replication_slot($1)", [slot]);

    expect(await said("retainedBytes", "recovered")).toMatchObject({ value: undefined });
    expect(watching.exceeded.size).toBe(0);
    expect(watching.sees).toBe(true);
  });

  test("a full slot that may not be dropped is said once, still measured, and dropped once it may be", async () => {
    const database = await withSlot();
    await database.query("drop role if exists watcher; create role watcher login");
    const slotFull = { onGap: "continue", slot: { fullAtBytes: 1_000_000, onFull: "drop-and-gap" } };
    const url = database.url.replace("postgres@", "watcher@");
    const { watching, log, said } = guardOf({ url }, { retainedBytes: 1_000_000 }, 0, slotFull);
    await emit(database, 2_000_000);
    const failed = () => log.of("guard_drop_failed");
    await waitFor(() => failed().length > 0, { what: "the drop to fail" });
    await said("retainedBytes", "exceeded");
    await emit(database, 2_000_000);
    await waitFor(() => (watching.hold?.retainedBytes ?? 0) > 4_000_000, { what: "some looks more" });

    expect(failed()).toMatchObject([{ source: "shop", code: "PERMISSION_MISSING" }]);
    expect([watching.sees, log.count("guard_blind")]).toEqual([true, 0]);
    await database.query("alter role watcher replication");
    await waitFor(() => log.count("guard_full") === 1, { what: "the slot to be dropped" });
    await said("retainedBytes", "recovered");
  });

  test("timeToFull: says it in time; a slot that is lost it says too", async () => {
    const server = await freshPostgres({
      max_slot_wal_keep_size: "48MB",
      checkpoint_timeout: "1h",
      max_wal_size: "1GB",
    });
    await using database = await freshDatabase(server);
    await database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    const { said, events } = guardOf(database, { timeToFull: "4s" });
    const stop = new AbortController();
    const writing = writeSteadily(database, 10_000_000, stop.signal);
    const event = await said("timeToFullSeconds", "exceeded");
    const [now] = await database.query<{ status: string; safe: string }>(
      "select wal_status as status, safe_wal_size as safe from pg_replication_slots",
    );
    stop.abort();
    await writing;

    expect(event.value).toBeLessThan(4);
    expect(now?.status).not.toBe("lost");
    expect(Number(now?.safe)).toBeGreaterThan(0);
    await said("timeToFullSeconds", "recovered"); // nothing is written any more
    await emit(database, 100_000_000);
    await database.query("select pg_switch_wal()");
    await database.query("checkpoint");
    await said("lost", "exceeded");
    expect(events.filter(({ state }) => state === "exceeded").map(({ measure }) => measure)).toContain("lost");
  });

  test("the queries of the runbooks run", async () => {
    const database = await withSlot();
    const folder = fileURLToPath(new URL("../../../../../docs/operations", import.meta.url));
    const queries = readdirSync(folder).flatMap((page) => {
      const blocks = readFileSync(join(folder, page), "utf8").matchAll(/```sql\n(.*?)```/gs);
      return [...blocks].flatMap(([, sql = ""]) => sql.split(";").filter((statement) => /^\s*SELECT/.test(statement)));
    });

    expect(queries.length).toBeGreaterThan(6);
    for (const query of queries) await database.query(query);
  });

  test("a database that does not answer is said once, and nothing has a value", async () => {
    const server = await freshPostgres();
    await using database = await freshDatabase(server);
    await database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    const { watching, log } = guardOf(database, {});
    await waitFor(() => watching.hold, { what: "a first look" });
    await server.stop("immediate");
    await waitFor(() => !watching.sees, { what: "the guard to be blind" });
    expect(watching.hold).toBeUndefined();
    await server.restart();
    await waitFor(() => watching.hold, { what: "the guard to see again" });

    const codes = log.of("guard_blind").map(({ code }) => code);
    expect(codes.length).toBeGreaterThan(0);
    expect(new Set(codes).size).toBe(codes.length);
  });
});
