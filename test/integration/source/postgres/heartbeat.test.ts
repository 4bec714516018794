// The heartbeat: a mark in the log that needs no table, is no event, and shows a stream that stands still.

import { describe, expect, test } from "vitest";
import { isComplete } from "../../../../src/event/position.ts";
import { onlyPosition } from "../../../../src/event/positions.ts";
import { tendOnce } from "../../../../src/worker/tend-source.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const never = new AbortController().signal;

describe.skipIf(missing("postgres"))("a heartbeat of a Postgres source", () => {
  const fixture = postgresFixture("create table orders(id int primary key)");

  test("comes back, is no event, lets the log be dropped behind it, and keeps the order", async () => {
    const { source, reading } = await fixture.begin();
    await waitFor(() => source.heartbeat?.seconds() !== undefined, { what: "the first heartbeat" });
    const seen = (): number => reading.messages.length;

    for (let beat = 1; beat <= 5; beat++) {
      const before = seen();
      await fixture.database.query("insert into orders values ($1)", [beat]);
      const { unconfirmedBytes, end } = await tendOnce(source, never);
      expect(unconfirmedBytes).toBeGreaterThanOrEqual(0);
      await reading.until(
        () => seen() > before + 1 && (reading.last ?? "") >= (onlyPosition(end) ?? ""),
        "the heartbeat's place",
      );
      await reading.acknowledge();
    }

    expect(source.heartbeat?.seconds()).toBeLessThan(10);
    expect(reading.events.map(({ subject }) => subject.replace(/p\d\d$/, "*"))).toEqual([
      "meta.shop.history",
      ...Array.from({ length: 5 }, () => "cdc.shop.public.orders.created.*"),
    ]);
    const positions = reading.messages.map(({ position }) => position);
    expect(positions).toEqual([...positions].sort());
    expect(reading.events.every(({ position }) => isComplete(position))).toBe(true);
    const mark = await fixture.value("select pg_logical_emit_message(false, 'mark', '', true)");
    const confirmed =
      "select bool_and(confirmed_flush_lsn >= $1::pg_lsn) from pg_replication_slots where slot_name = $2";
    await waitFor(
      async () => {
        await tendOnce(source, never);
        await reading.acknowledge();
        return (await fixture.value(confirmed, [mark, "millrace_shop"])) === true;
      },
      { what: "the slot to follow though nothing happens" },
    );
    await reading.stop();
  });

  test("that the role may not send is said once; the source goes on without", async () => {
    await fixture.database.query(`
      create publication millrace_shop for table orders with (publish_via_partition_root = true);
      do $$ begin
        if not exists (select from pg_roles where rolname = 'quiet') then create role quiet login replication; end if;
      end $$`);
    const overloads = await fixture.database.query<{ signature: string }>(
      "select oid::regprocedure::text as signature from pg_proc where proname = 'pg_logical_emit_message'",
    );
    const functions = overloads.map(({ signature }) => signature).join(", ");
    await fixture.database.query(`revoke execute on function ${functions} from public`);

    const url = fixture.database.url.replace("postgres@", "quiet@");
    const { source, reading } = await fixture.begin({ options: { url } });
    const notices = (): number => source.logged.filter(({ text }) => text?.startsWith("no heartbeats")).length;
    await waitFor(() => notices() > 0, { what: "the notice" });
    for (let look = 0; look < 5; look++) await tendOnce(source, never);
    await fixture.database.query("insert into orders values (1)");
    await reading.rows(1);

    expect(notices()).toBe(1);
    expect(source.heartbeat?.seconds()).toBeUndefined();
    await reading.stop();
  });

  test("that fails for another reason is tried again with the next", async () => {
    const { source, reading } = await fixture.begin();
    await waitFor(() => source.heartbeat?.seconds() !== undefined, { what: "the first heartbeat" });
    const overloads = await fixture.database.query<{ signature: string }>(
      "select oid::regprocedure::text as signature from pg_proc where proname = 'pg_logical_emit_message'",
    );
    const rename = async (to: string): Promise<void> => {
      for (const { signature } of overloads) {
        const now = to === "away" ? signature : signature.replace("pg_logical_emit_message", "away");
        await fixture.database.query(`alter function ${now} rename to ${to}`);
      }
    };
    await rename("away");
    await tendOnce(source, never);
    await rename("pg_logical_emit_message");
    await tendOnce(source, never);

    expect(source.logged.filter(({ text }) => text?.startsWith("no heartbeats"))).toEqual([]);
    expect(source.heartbeat?.seconds()).toBeDefined();
    await reading.stop();
  });

  test("that does not come back ends the reading with the process that is in the way", async () => {
    const { source, reading } = await fixture.begin();
    await waitFor(() => source.heartbeat?.seconds() !== undefined, { what: "the first heartbeat" });
    const pid = Number(await fixture.value("select active_pid from pg_replication_slots where active"));
    process.kill(pid, "SIGSTOP");
    try {
      await waitFor(
        async () => {
          await tendOnce(source, never);
          return reading.failure !== undefined;
        },
        { what: "the reading to end" },
      );
    } finally {
      process.kill(pid, "SIGCONT");
    }

    expect(reading.failure).toMatchObject({
      name: "TransientError",
      code: "SOURCE_STUCK",
      message: expect.stringContaining(`the process ${pid} (`),
    });
  });

  test("is waited for without an end while a slow reader is what holds up the stream", async () => {
    const { source, reading } = await fixture.begin();
    let resume: () => void = () => {};
    reading.pauseUntil(
      new Promise((resolve) => {
        resume = resolve;
      }),
    );
    await fixture.database.query(
      "create table wide(id int primary key, text text); alter publication millrace_shop add table wide",
    );
    await fixture.database.query("insert into wide select n, repeat('x', 10000) from generate_series(1, 1000) n");
    for (let look = 0; look < 8; look++) {
      await tendOnce(source, never);
      await fixture.database.query("select pg_logical_emit_message(false, 'other', 'x')");
    }
    resume();
    await reading.rows(1000);

    expect(reading.failure).toBeUndefined();
    await reading.stop();
  });
});
