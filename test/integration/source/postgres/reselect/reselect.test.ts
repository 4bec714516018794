// `toast: "reselect"`: values that the log leaves out are asked of the database, and none is older than its event.

import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { startWorker } from "../../../../../src/app.ts";
import { automation } from "../../../../../src/automation/define/automation.ts";
import { collection } from "../../../../../src/automation/define/collection.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { failureOf, openShop, Reading } from "../../../../support/postgres/reader.ts";
import { reached } from "../../../../support/postgres/transactions.ts";
import { freshNats, missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

const RESELECT = { tables: [{ match: "public.*", toast: "reselect" }] };
/** 5 KB that do not compress away: stored apart. */
const WIDE = "(select string_agg(md5(g::text), '') from generate_series(1, 160) g)";
const NEWER = `(${WIDE} || 'newer')`;

/** Of row events, byte for byte. */
const texts = (reading: Reading): readonly string[] =>
  reading.events
    .filter(({ subject }) => subject.startsWith("cdc."))
    .map(({ data }) => Buffer.from(data).toString("utf8"));

describe.skipIf(missing("postgres"))("values that the log leaves out", () => {
  // Only who asks for it waits for the standby that never comes: his commit is in the log, and not yet to be seen.
  const fixture = postgresFixture("create table docs(id int primary key, body text, note text)", {
    synchronous_standby_names: "nobody",
    synchronous_commit: "local",
  });
  const query = (sql: string, values: readonly unknown[] = []) => fixture.database.query(sql, values);
  const begin = (options: Readonly<Record<string, unknown>> = RESELECT) => fixture.begin({ options });
  const wide = () => fixture.value(`select ${WIDE}`);

  test("stay out by default, named in unchanged", async () => {
    const { reading } = await begin({});
    await query(`insert into docs values (1, ${WIDE}, 'a'); update docs set note = 'b'`);

    expect((await reading.rows(2))[1]).toEqual({
      op: "updated",
      key: { id: 1 },
      before: null,
      after: { id: 1, note: "b" },
      unchanged: ["body"],
    });
    await reading.stop();
  });

  test("are byte for byte what the log had given, of every type that is stored apart", async () => {
    const columns = ["a", "b", "c", "d", "e", "f", "g", "h", "z"];
    await query(`create type part as (name text, at timestamptz);
      create table wide(a text, id int primary key, b jsonb, c bytea, d numeric, e text[], f part, g char(4000), h xml,
        note text, z text);
      alter table wide ${columns.map((column) => `alter ${column} set storage external`).join(", ")}`);
    const { reading } = await begin();
    await query(`insert into wide values (${WIDE}, 7,
      jsonb_build_object('n', 12345678901234567890.123, 'é "', ${WIDE}), convert_to(${WIDE}, 'UTF8'),
      repeat('123456789', 900)::numeric, array[${WIDE}, null, 'a "quoted" \\ one'],
      row(${WIDE}, '2024-02-29 18:29:59.123456+00'), 'padded', ('<a>' || ${WIDE} || '</a>')::xml,
      'a', E'line\\n\\u0001' || ${WIDE})`);
    await query("update wide set note = 'b'");
    await reading.rows(2);
    await query("update wide set id = 8");
    await reading.rows(4);
    await reading.stop();

    const names = columns.map((column) => JSON.stringify(column)).join();
    const mark = new RegExp(`,"enriched":\\{"columns":\\[${names}\\],"asOfLsn":"[0-9A-F]+/[0-9A-F]+"\\}`);
    const [created, updated, , moved] = texts(reading);
    const row = (text: string | undefined) => text?.slice(text.indexOf('"after":')).replace(mark, "");
    const changed = row(created)?.replace('"note":"a"', '"note":"b"');
    expect([updated, moved].map((text) => mark.test(text ?? ""))).toEqual([true, true]);
    expect(row(updated)).toBe(changed);
    expect(row(moved)).toBe(changed?.replace('"id":7', '"id":8').replace(/}$/, ',"movedFrom":{"id":7}}'));
  });

  test("of a commit that is in the log and not yet visible are waited for: a plain SELECT would give older ones", async () => {
    const { reading } = await begin();
    await query(`insert into docs values (1, ${WIDE}, 'a')`);
    const writer = await fixture.database.connect();
    await writer.query("set synchronous_commit = on");

    const committing = writer.query(`begin; update docs set body = ${NEWER}; update docs set note = 'b'; commit`);

    await reading.rows(2); // the log has it
    const asked = `select count(*)::int from pg_stat_activity
      where application_name = 'millrace shop' and state = 'idle' and query like '%pg_current_snapshot%'`;
    await waitFor(async () => (await fixture.value(asked)) === 1, { what: "the worker to have asked" });
    const [visible] = await query("select body, note from docs");
    const waiting = texts(reading).length;
    await query("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    await committing;
    await writer.end();
    const updated = (await reading.rows(3))[2];
    await reading.stop();

    expect(visible).toEqual({ body: await wide(), note: "a" });
    expect(waiting).toBe(2);
    expect(updated).toMatchObject({ after: { id: 1, body: `${await wide()}newer`, note: "b" } });
    expect(updated).toMatchObject({ enriched: { columns: ["body"] } });
  });

  test("stay out when a commit cannot be seen for longer than the timeout", async () => {
    const { source, reading } = await begin({ ...RESELECT, timeout: "1s" });
    const writer = await fixture.database.connect();
    await writer.query("set synchronous_commit = on");
    const committing = writer.query(
      `begin; insert into docs values (1, ${WIDE}, 'a'); update docs set note = 'b'; commit`,
    );

    expect((await reading.rows(2))[1]).toMatchObject({ after: { id: 1, note: "b" }, unchanged: ["body"] });
    await query("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    await committing;
    await writer.end();
    await reading.stop();
    expect(source.logged.filter(({ event }) => event === "source_commit_unseen")).toHaveLength(1);
  });

  test("keep no reader from being stopped while they are waited for", async () => {
    const { reading } = await begin();
    const writer = await fixture.database.connect();
    await writer.query("set synchronous_commit = on");
    const committing = writer.query(
      `begin; insert into docs values (1, ${WIDE}, 'a'); update docs set note = 'b'; commit`,
    );
    await reading.rows(1);

    await reading.stop();

    expect(reading.bodies).toHaveLength(1);
    await query("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    await committing;
    await writer.end();
  });

  test("may be newer than the event, stay out when the row is gone, and change neither id nor place", async () => {
    const { source, reading } = await begin();
    await query(`insert into docs select g, ${WIDE}, 'a' from generate_series(1, 4) g`);
    await reading.rows(4);
    await reading.stop();
    await query("update docs set note = 'b'");
    await query("delete from docs where id = 1");
    await query(`update docs set body = ${NEWER} where id = 2`);
    await query("update docs set id = 30 where id = 3");
    await query("update docs set body = null where id = 4");

    const late = new Reading(await fixture.reopen(source, { options: RESELECT }), reading.last);
    const rows = await late.rows(9);
    await late.stop();
    await query(`update docs set body = 'again' where id = 2`);
    const again = new Reading(await fixture.reopen(source, { options: RESELECT }), reading.last);
    const repeated = await again.rows(9);
    await again.stop();

    const body = await wide();
    expect(rows.slice(0, 4).map(({ after, unchanged }) => [after, unchanged])).toEqual([
      [{ id: 1, note: "b" }, ["body"]],
      [{ id: 2, body: `${body}newer`, note: "b" }, undefined],
      [{ id: 3, note: "b" }, ["body"]],
      [{ id: 4, body: null, note: "b" }, undefined],
    ]);
    expect(rows[7]).toMatchObject({ op: "created", movedFrom: { id: 3 }, after: { id: 30, body, note: "b" } });
    expect(repeated[1]).toMatchObject({ after: { id: 2, body: "again", note: "b" } });
    const place = ({ events }: Reading) => events.slice(0, 9).map(({ head, position }) => [head, position]);
    expect(place(again)).toEqual(place(late));
  });

  test.each<readonly [what: string, sql: string, body: "found" | "left out"]>([
    ["was renamed", "alter table docs rename body to text; alter table docs rename to papers", "found"],
    ["is another one of that name", "alter table docs drop body, add body text default 'other'", "left out"],
    ["has another type", "alter table docs alter body type varchar", "left out"],
    ["is no more", "drop table docs", "left out"],
  ])("are looked for where the log means them: a column that %s", async (_, sql, expected) => {
    const { source, reading } = await begin();
    await query(`insert into docs values (1, ${WIDE}, 'a')`);
    await reading.rows(1);
    await reading.stop();
    await query("update docs set note = 'b'");
    await query(sql);

    await query("create table rest(id int primary key)");
    const late = new Reading(await fixture.reopen(source, { options: RESELECT }), reading.last);
    const [row] = await late.rows(1);
    await late.stop();

    const left = { after: { id: 1, note: "b" }, unchanged: ["body"] };
    expect(row).toMatchObject(expected === "found" ? { after: { id: 1, body: await wide(), note: "b" } } : left);
    expect(JSON.stringify(row)).not.toContain("other");
  });

  test("are found by keys of any type, in any partition, under any name", async () => {
    await query(`create table "Odd ""parts"(id uuid, "At" timestamptz, kind char(5), "Body ""x" text, note text,
        primary key (kind, "At", id)) partition by range ("At");
      create table part_1 partition of "Odd ""parts" for values from ('2020-01-01') to ('2030-01-01')`);
    const { reading } = await begin();
    await query(`insert into "Odd ""parts" values
      ('00000000-0000-0000-0000-000000000001', '2024-02-29 18:29:59.123456+00', 'k', ${WIDE}, 'a')`);
    await query(`update "Odd ""parts" set note = 'b'`);

    expect((await reading.rows(2))[1]).toMatchObject({ after: { kind: "k    ", 'Body "x': await wide(), note: "b" } });
    await reading.stop();
  });

  test("of a key that cannot be looked up stay out alone", async () => {
    await query("create domain code as int; create table coded(id code primary key, body text, note text)");
    const { source, reading } = await begin();
    await query(`insert into coded select g, ${WIDE}, 'a' from generate_series(1, 3) g`);
    await reading.rows(3);
    await reading.stop();
    await query("alter domain code add check (value <> 2) not valid");
    await query("update coded set note = 'b' where id <> 2");
    await query("alter domain code drop constraint code_check; update coded set note = 'b' where id = 2");
    await query("alter domain code add check (value <> 2) not valid");

    const late = new Reading(await fixture.reopen(source, { options: RESELECT }), reading.last);
    const rows = await late.rows(3);
    await late.stop();

    expect(rows.map(({ key, unchanged }) => [key, unchanged])).toEqual([
      [{ id: 1 }, undefined],
      [{ id: 3 }, undefined],
      [{ id: 2 }, ["body"]],
    ]);
  });

  describe("of rows that are slow to look up", () => {
    /** Cancels a lookup as `statement_timeout` does, without its 15 seconds. */
    const slowWhere = async (condition: string): Promise<void> => {
      await query(`create function swift(id int) returns boolean language plpgsql as $$
        begin
          if current_setting('transaction_read_only') = 'off' then return true; end if; -- no lookup
          perform set_config('test.keys', (coalesce(nullif(current_setting('test.keys', true), ''), '0')::int + 1)::text, true);
          if ${condition} then raise 'it takes too long' using errcode = 'query_canceled'; end if;
          return true;
        end $$;
        create domain slow as int check (swift(value)); create table slows(id slow primary key, body text, note text)`);
    };

    test("are asked for in smaller parts when all at once take too long", async () => {
      await slowWhere("current_setting('test.keys')::int > 10");
      const { reading } = await begin();
      await query(`insert into slows select g, ${WIDE}, 'a' from generate_series(1, 60) g`);
      await query("update slows set note = 'b'");

      const updated = (await reading.rows(120)).slice(60);
      await reading.stop();

      expect(updated.map(({ key, enriched }) => [key, enriched])).toEqual(
        Array.from({ length: 60 }, (_, nth) => [{ id: nth + 1 }, expect.objectContaining({ columns: ["body"] })]),
      );
    });

    test("are tried again when one alone takes too long", async () => {
      await slowWhere("id = 2");
      const { reading } = await begin();
      await query(`insert into slows select g, ${WIDE}, 'a' from generate_series(1, 3) g`);
      await query("update slows set note = 'b'");

      const failure = await failureOf(reading.rows(6));

      expect(failure).toMatchObject({ name: "TransientError", message: "it takes too long" });
      expect(reading.bodies.at(-1)).toMatchObject({ op: "updated", key: { id: 1 } });
    });
  });

  test("are masked and left out as the log's own are", async () => {
    const maskKey = "a-key-of-the-test";
    const table = { match: "public.docs", mask: { body: "hash" }, columns: { exclude: ["secret"] }, toast: "reselect" };
    await query("alter table docs add secret text");
    const { reading } = await begin({ tables: [table], maskKey });
    await query(`insert into docs values (1, ${WIDE}, 'a', ${WIDE}); update docs set note = 'b'`);

    const [, updated] = await reading.rows(2);
    const body = createHmac("sha256", maskKey)
      .update(String(await wide()))
      .digest("hex");
    expect(updated).toMatchObject({ after: { id: 1, body, note: "b" }, enriched: { columns: ["body"] } });
    expect(texts(reading)[1]).not.toContain("secret");
    await reading.stop();
  });

  test("are handed out in small chunks, in order, and one larger than maxRowBytes stays out", async () => {
    await query("alter table docs alter body set storage external");
    await query("insert into docs select g, repeat(g::text, 200000), 'a' from generate_series(10, 49) g");
    await query("insert into docs values (50, repeat('50', 1000000), 'a')");
    const { source, reading } = await begin({ ...RESELECT, maxRowBytes: 1024 * 1024 });
    await reading.stop();
    await query("update docs set note = 'b'");

    const stop = new AbortController();
    const again = await fixture.reopen(source, { options: { ...RESELECT, maxRowBytes: 1024 * 1024 } });
    const bodies: Record<string, unknown>[] = [];
    let largest = 0;
    for await (const chunk of again.read({ from: reading.last && reached(reading.last), signal: stop.signal })) {
      const rows = chunk.flatMap((message) => ("data" in message ? [message.data] : []));
      largest = Math.max(
        largest,
        rows.reduce((sum, data) => sum + data.length, 0),
      );
      bodies.push(...rows.map((data) => JSON.parse(Buffer.from(data).toString("utf8"))));
      if (bodies.filter(({ op }) => op === "updated").length === 41) stop.abort();
    }

    const updated = bodies.filter(({ op }) => op === "updated") as { after: { id: number; body?: string } }[];
    expect(updated.map(({ after }) => [after.id, after.body?.length])).toEqual(
      Array.from({ length: 41 }, (_, nth) => [10 + nth, nth < 40 ? 400_000 : undefined]),
    );
    expect(updated.every(({ after: { id, body } }) => body === undefined || body.startsWith(`${id}${id}`))).toBe(true);
    expect(largest).toBeLessThan(5 * 1024 * 1024);
  });

  describe("need a right that the stream does not need", () => {
    const as = () => fixture.database.url.replace("postgres@", "least@");

    test("and a table that comes without it is told of", async () => {
      await query("drop role if exists least; create role least login replication");
      await query("grant select on docs to least; create publication millrace_shop for table docs");
      await using source = await openShop(as(), { options: { ...RESELECT, timeout: "1s" } });
      const reading = new Reading(source);
      await query("create table later(id int primary key, body text)");

      const told = () => source.notices().find(({ code }) => code === "RESELECT_NOT_GRANTED");
      await reading.until(() => told() !== undefined, "the notice");
      expect(told()?.hint).toContain('GRANT SELECT ON "public"."later" TO "least";');
      await query("grant select on later to least");
      await reading.until(() => told() === undefined, "its end");
      await reading.stop();
    });

    test("and when it is taken away the source stops with the GRANT that mends it", async () => {
      await query("drop role if exists least; create role least login replication");
      await query("grant select on docs to least; create publication millrace_shop for table docs");
      await using source = await openShop(as(), { options: RESELECT });
      const reading = new Reading(source);
      await query(`insert into docs values (1, ${WIDE}, 'a')`);
      await reading.rows(1);
      await query("revoke select on docs from least");
      await query("update docs set note = 'b'");

      const failure = await failureOf(reading.rows(2));
      expect(failure).toMatchObject({ name: "ConfigError", code: "RESELECT_NOT_GRANTED" });
      expect(failure).toMatchObject({ hint: expect.stringContaining('GRANT SELECT ON "public"."docs" TO "least";') });
    });
  });

  test.skipIf(missing("nats"))("are there for automations, under the event's own id", async () => {
    await using nats = await freshNats();
    const docs = collection<{ readonly id: number; readonly body?: string }>("shop", "public.docs");
    const seen: unknown[] = [];
    const remember = automation("remember", { on: docs.updated(), start: "earliest" }, ({ event }) => {
      seen.push([event.after, event.enriched?.columns, event.id === `shop.${event.position.replace("+", "")}`]);
    });
    const worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: fixture.database.url, ...RESELECT } },
      automations: [remember],
    });
    await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source" });
    await query(`insert into docs values (1, ${WIDE}, 'a'); update docs set note = 'b'`);

    await waitFor(() => seen.length === 1, { what: "the event" });
    expect(seen).toEqual([[{ id: 1, body: await wide(), note: "b" }, ["body"], true]]);
    await worker.stop();
  });
});
