// Slices of a real Postgres: what their rows look like, where they go on, which snapshot is taken and which table is refused.

import { describe, expect, onTestFinished, test } from "vitest";
import type { CollectionVersion, CopiedRow } from "../../../../src/event/source-event.ts";
import type { RowCopier, Slice, SliceRequest } from "../../../../src/source/capabilities.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, type TestSource } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const never = new AbortController().signal;

const copierOf = ({ copier }: TestSource): RowCopier => copier as RowCopier;

async function sliceOf(
  source: TestSource,
  name: string,
  { maxRows = 1000, ...rest }: Partial<Pick<SliceRequest, "after" | "keys" | "maxRows">> = {},
): Promise<Slice> {
  const targets = await copierOf(source).targets();
  const target = targets.find(({ collection }) => collection === name);
  if (target === undefined) throw new Error(`no ${name} among ${targets.map(({ collection }) => collection).join()}`);
  return copierOf(source).readSlice({
    target,
    after: undefined,
    ...rest,
    maxRows,
    maxBytes: 1e6,
    backfill: 7,
    signal: never,
  });
}

function bodyOf({ data }: CopiedRow): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(data).toString());
}

describe.skipIf(missing("postgres"))("a slice of a Postgres table", () => {
  const fixture = postgresFixture(`
    create type mood as enum ('sad', 'glad');
    create type part as (a int, b text);
    create domain positive as int check (value > 0);
    create table orders(
      id bigint primary key, big numeric, at timestamptz, plain timestamp, day date, span interval, raw bytea, note text, doc jsonb,
      list int[], feeling mood, piece part, amount positive, price double precision, code char(4), flags bit(3), nothing text);
    insert into orders select i, 1e30 + i, '2026-01-02 03:04:05.678+02', '2026-01-02', '2026-01-02', '1 day 2 hours', '\\x00ff',
      repeat('ä"\\', i * 2000) || e'\\t\\n\\r\\b\\f\\v\\\\N', '{"a": 1.50}', '{1,null,3}', 'glad', ('(' || i || ',"x,y")')::part, 5, 0.1, 'ab', b'101', null
      from generate_series(1, 3) i;
    create table pairs(b text, a int, note text, primary key (b, a));
    insert into pairs select chr(97 + i % 3), i, null from generate_series(1, 9) i;
    create table parted(region text, id int, primary key (id, region)) partition by list (region);
    create table parted_n partition of parted for values in ('n');
    create table parted_s partition of parted for values in ('s');
    insert into parted values ('n', 2), ('s', 1), ('n', 3);
    create table heir(more int, primary key (b, a)) inherits (pairs);
    insert into heir values ('z', 1, 'of the heir', 1);
    create table named(name text, n numeric, primary key (n, name));
    insert into named values ('a,b %', 1.50), ('it''s "x\\\\y', 2), ('ä', 3), ('z', 4);
    create table many(id bytea primary key, note text);
    insert into many select int4send(i), case when i % 3 > 0 then e'\\\\N' end from generate_series(1, 70) i;
    create table paged(id text primary key);
    insert into paged select e'\\t' || lpad(i::text, 3, '0') from generate_series(1, 70) i;
    create table whole(id int primary key, note text);
    alter table whole replica identity full;
    insert into whole values (1, 'x');`);

  test("has the rows that an event has, value for value, with the key and the lane of its events", async () => {
    const { source, reading } = await fixture.begin();
    const slice = await sliceOf(source, "orders");
    await fixture.database.query("update orders set note = note || '', amount = amount");
    await reading.rows(3);
    const events = reading.bodies.map(({ after }) => after);

    expect(slice.rows.map(bodyOf)).toEqual(
      events.map((after) => ({ op: "read", key: { id: (after as { id: unknown }).id }, before: null, after })),
    );
    const updated = reading.events.filter(({ subject }) => subject.startsWith("cdc.shop.public.orders."));
    expect(slice.rows.map(({ lane }) => lane)).toEqual(updated.map(({ subject }) => subject.split(".")[5]));
    expect(slice.rows.map(({ key }) => `ce-subject: public.orders/${key}\r\n`)).toEqual(
      updated.map(({ head }) => /ce-subject: .*\r\n/.exec(head)?.[0]),
    );
    expect(slice.rows[0]).toMatchObject({
      backfill: 7,
      kind: { op: "read" },
      time: expect.stringMatching(/^20.*\.\d{6}Z$/),
    });
    expect(slice.isLast).toBe(true);
    const [told] = reading.announcements;
    const version = slice.version as CollectionVersion;
    await source.schemas.describe(version, undefined);
    expect(version.uri).toBe(`kv:millrace_schemas/${JSON.parse(Buffer.from(told?.data ?? "").toString()).version}`);
    await reading.stop();
  });

  test("has only the rows with the keys that are asked for, as events have them, up to and with its place", async () => {
    const { source } = await fixture.begin();
    const all = await sliceOf(source, "named");
    const keys = all.rows.map(({ key }) => key);
    expect([keys.length, all.readsKeys]).toEqual([4, true]);

    const none = "7,nobody";
    const some = await sliceOf(source, "named", { after: all.after(2), keys: [none, ...keys.toReversed()] });
    expect(some.rows.map(({ key }) => key)).toEqual(keys.slice(0, 3));
    expect(some.isLast).toBe(true);
    const wherever = await sliceOf(source, "named", { keys: [keys[3] as string, none], maxRows: 1 });
    expect(wherever.rows.map(bodyOf)).toEqual([all.rows[3]].map((row) => bodyOf(row as CopiedRow)));
  });

  test("goes on behind the last row of the one before, in the order of the key's index", async () => {
    const { source, reading } = await fixture.begin();
    const keys: string[] = [];
    let after: Readonly<Record<string, unknown>> | undefined;
    for (;;) {
      const slice = await sliceOf(source, "pairs", { ...(after && { after }), maxRows: 4 });
      keys.push(...slice.rows.map(({ key }) => key));
      if (slice.isLast) break;
      // As it comes back from the stream.
      after = JSON.parse(JSON.stringify(slice.after(slice.rows.length - 1)));
    }

    // The heir of a table is another table.
    expect(keys).toEqual(["3,a", "6,a", "9,a", "1,b", "4,b", "7,b", "2,c", "5,c", "8,c"]);
    expect((await sliceOf(source, "parted")).rows.map(bodyOf)).toMatchObject([
      ...[{ after: { id: 1, region: "s" } }, { after: { id: 2, region: "n" } }, { after: { id: 3, region: "n" } }],
    ]);
    expect((await sliceOf(source, "whole")).rows.map(({ key }) => key)).toEqual(["1"]);
    await reading.stop();
  });

  test("is read in pages, and goes on behind any of its rows, also where an event's key does not tell the database's", async () => {
    const { source } = await fixture.begin();
    const { rows, after, isLast } = await sliceOf(source, "many", { maxRows: 60 });
    const notes = rows.map((row) => (bodyOf(row).after as { note: unknown }).note);
    const rest = await sliceOf(source, "many", { after: JSON.parse(JSON.stringify(after(40))) });

    expect(notes).toEqual(notes.map((_, nth) => ((nth + 1) % 3 > 0 ? "\\N" : null)));
    expect([rows.length, isLast, rest.isLast]).toEqual([60, false, true]);
    const ids = [...rows.slice(0, 41), ...rest.rows].map((row) => (bodyOf(row).after as { id: string }).id);
    expect(ids.map((id) => Buffer.from(id, "base64").readInt32BE())).toEqual(ids.map((_, nth) => nth + 1));
    expect(ids).toHaveLength(70);
  });

  test("has all rows that are asked for by their keys, in pages too", async () => {
    const { source } = await fixture.begin();
    const all = await sliceOf(source, "paged");
    const keys = all.rows.map(({ key }) => key);
    const some = await sliceOf(source, "paged", { after: all.after(64), keys: keys.filter((_, nth) => nth % 2 === 0) });

    expect(keys).toHaveLength(70);
    expect(some.rows.map(({ key }) => key)).toEqual(keys.filter((_, nth) => nth % 2 === 0 && nth <= 64));
  });

  test("ends where the table ended when it began, however fast rows come behind that: those come by their events", async () => {
    const { source, reading } = await fixture.begin();
    const keys: string[] = [];
    let after: Readonly<Record<string, unknown>> | undefined;
    for (let slices = 1; ; slices++) {
      const slice = await sliceOf(source, "pairs", { ...(after && { after }), maxRows: 2 });
      keys.push(...slice.rows.map(({ key }) => key));
      // More of them than a slice takes; and one that comes before the end, ahead of the copy.
      await fixture.database.query(
        `insert into pairs select 'd', 10 * ${slices} + i from generate_series(1, 3) i; insert into pairs values ('c', -${slices})`,
      );
      if (slice.isLast) break;
      after = JSON.parse(JSON.stringify(slice.after(slice.rows.length - 1)));
    }

    expect(keys.filter((key) => !/^-.*,c$/.test(key))).toEqual("3,a 6,a 9,a 1,b 4,b 7,b 2,c 5,c 8,c".split(" "));
    expect(keys).toContain("-1,c");
    await reading.stop();
  });

  test("has a row that is asked for by a key behind the end, where no slice comes by, and none between its place and the end", async () => {
    const { source, reading } = await fixture.begin();
    const some = await sliceOf(source, "pairs", { maxRows: 4 });
    await fixture.database.query("insert into pairs values ('d', 1)");
    const asked = await sliceOf(source, "pairs", { after: some.after(3), keys: ["1,d", "8,c", "3,a"] });

    expect(asked.rows.map(({ key }) => key)).toEqual(["3,a", "1,d"]);
    await reading.stop();
  });

  test("of a table that was published later waits for what wrote into it before: the log does not tell of that", async () => {
    const { source, reading } = await fixture.begin({ options: { timeout: "900ms" } });
    await sliceOf(source, "orders"); // from here on transactions that were open then do not matter
    const open = await fixture.database.connect();
    onTestFinished(() => open.end());
    await open.query("create table late(id int primary key)");
    await open.query("begin; insert into late values (1)");
    await fixture.untilPublished("heir late many named orders paged pairs parted whole");
    const early = await failureOf(sliceOf(source, "late"));
    await open.query("commit");

    expect(early).toMatchObject({ code: "BACKFILL_OLDER_TRANSACTIONS" });
    expect((await sliceOf(source, "late")).rows.map(({ key }) => key)).toEqual(["1"]);
    await reading.stop();
  });

  test("includes what had ended when it was read, and nothing since", async () => {
    const { source, reading } = await fixture.begin();
    const open = await fixture.database.connect();
    onTestFinished(() => open.end());
    const slice = await (async () => {
      await fixture.database.query("update whole set note = 'before'");
      await reading.rows(1);
      await sliceOf(source, "orders"); // what is handed out is noted from here on
      await open.query("begin; update whole set note = 'open'");
      return sliceOf(source, "whole");
    })();
    await open.query("commit");
    await fixture.database.query("update whole set note = 'after'");
    await reading.rows(3);
    const ids = reading.messages.flatMap((message) =>
      message.type === "message" && message.subject.startsWith("cdc.") ? [/Cdc-Tx: (\d+)/.exec(message.head)?.[1]] : [],
    );

    expect(slice.rows.map(bodyOf)).toMatchObject([{ after: { note: "before" } }]);
    expect(ids.map((id) => slice.includes({ position: "", transaction: id ?? "" }))).toEqual([true, false, false]);
    await reading.stop();
  });

  test("waits for transactions that wrote before the copy began, and for no later one", async () => {
    const { source, reading } = await fixture.begin();
    const older = await fixture.database.connect();
    onTestFinished(() => older.end());
    await older.query("begin; update orders set day = day where id = 1");

    expect(await failureOf(sliceOf(source, "whole"))).toMatchObject({ code: "BACKFILL_OLDER_TRANSACTIONS" });
    await older.query("commit; begin; update orders set day = day where id = 1");
    expect((await sliceOf(source, "whole")).rows).toHaveLength(1);
    await reading.stop();
  });

  test("leaves no connection behind when nothing is copied for now", async () => {
    const { source, reading } = await fixture.begin();
    const idle = "state = 'idle' and query in ('COMMIT', 'SELECT pg_current_xact_id()::text AS id')";
    const left = (): Promise<unknown> =>
      fixture.value(`select count(*)::int from pg_stat_activity where datname = current_database() and ${idle}`);
    await sliceOf(source, "whole");
    expect(await left()).toBe(1);
    await copierOf(source).rest?.();
    await waitFor(async () => (await left()) === 0, { what: "the connection to be given back" });
    expect((await sliceOf(source, "whole")).rows).toHaveLength(1);
    await reading.stop();
  });

  test("the rows of a table are estimated with its partitions, without what only inherits, and of none that is gone", async () => {
    const { source, reading } = await fixture.begin();
    const targets = await copierOf(source).targets();
    const estimate = async (name: string): Promise<number | undefined> =>
      copierOf(source).estimate?.(targets.find(({ collection }) => collection === name) ?? expect.unreachable());

    // What the server has counted of the inserts may come behind an ANALYZE, and be added to it.
    const isCounted = async (): Promise<boolean> => {
      await fixture.database.query("analyze parted, pairs");
      return (await estimate("pairs")) === 9;
    };
    await waitFor(isCounted, { what: "nine rows to be counted" });
    const parts = targets.map(({ collection }) => collection).filter((name) => name.startsWith("parted"));
    let sum = 0;
    for (const name of parts) sum += (await estimate(name)) ?? Number.NaN;
    expect(sum).toBe(3);
    await fixture.database.query("drop table heir");
    expect(await estimate("heir")).toBe(undefined);
    await reading.stop();
  });
});

describe.skipIf(missing("postgres"))("a slice while a synchronous standby is away", () => {
  const fixture = postgresFixture(
    "create table whole(id int primary key, note text); insert into whole values (1, 'x')",
    {
      synchronous_commit: "on",
    },
  );

  test("is not taken when a commit was handed out that cannot be seen yet", async () => {
    const { source, reading } = await fixture.begin();
    await sliceOf(source, "whole");
    await fixture.database.query("alter system set synchronous_standby_names = 'nobody'");
    await fixture.database.query("select pg_reload_conf()");
    const stuck = await fixture.database.connect();
    const ended = stuck.query("update whole set note = 'new'").finally(() => void stuck.end());
    await reading.rows(1);

    expect(await failureOf(sliceOf(source, "whole"))).toMatchObject({ code: "BACKFILL_COMMIT_UNSEEN" });
    await fixture.database.query("alter system reset synchronous_standby_names");
    await fixture.database.query("select pg_reload_conf()");
    await ended;
    expect((await sliceOf(source, "whole")).rows.map(bodyOf)).toMatchObject([{ after: { note: "new" } }]);
    await reading.stop();
  });
});
