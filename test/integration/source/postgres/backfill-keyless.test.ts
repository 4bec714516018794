// Copies of tables without a key on a real Postgres: all slices are of one snapshot, and where that is gone the table begins again.

import { describe, expect, test, vi } from "vitest";
import type { CopiedRow } from "../../../../src/event/source-event.ts";
import type { RowCopier, Slice, SliceRequest } from "../../../../src/source/capabilities.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, type TestSource } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const idOf = ({ data }: CopiedRow): unknown =>
  (JSON.parse(Buffer.from(data).toString()) as { after: { a: number } }).after.a;

async function sliceOf(source: TestSource, name: string, request: Partial<SliceRequest> = {}): Promise<Slice> {
  const copier = source.copier as RowCopier;
  const target = (await copier.targets()).find(({ collection }) => collection === name) ?? expect.unreachable(name);
  const rest = { after: undefined, maxRows: 1000, maxBytes: 1e6, backfill: 7, signal: new AbortController().signal };
  return copier.readSlice({ ...rest, ...request, target });
}

/** The place behind a slice as it comes back from the stream. */
function behind(slice: Slice): SliceRequest["after"] {
  const place = slice.rows.length === 0 ? slice.passed : slice.after(slice.rows.length - 1);
  return JSON.parse(JSON.stringify(place));
}

describe.skipIf(missing("postgres"))("a table without a key", () => {
  const fixture = postgresFixture(`
    create table loose(a int, note text);
    insert into loose select i, repeat('x', i) from generate_series(1, 300) i;
    alter table loose replica identity full;
    create view holds as select count(*)::int as n from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()
      and datname = current_database() and state = 'idle in transaction'`);

  test("comes as of one moment, which is told first; what is inserted meanwhile comes by its events alone", async () => {
    const { source, reading } = await fixture.begin();
    const first = await sliceOf(source, "loose");
    expect(first).toMatchObject({ rows: [], isLast: false, asOf: { snapshot: expect.stringMatching(/^\d+:\d+:/) } });
    const rows: CopiedRow[] = [];
    let after = behind(first);
    for (let isLast = false; !isLast; ) {
      const slice = await sliceOf(source, "loose", { after, maxRows: 110 });
      // Also where the table is grown, and room in it is used again.
      await fixture.database.query(
        "insert into loose values (0, 'late'); delete from loose where a % 100 = 7; update loose set note = 'y' where a % 100 = 8",
      );
      expect(slice.asOf).toEqual(first.asOf);
      rows.push(...slice.rows);
      ({ isLast } = slice);
      after = behind(slice);
    }
    const held = await fixture.database.query<{ row: string; n: number }>(
      "select json_build_object('a', a, 'note', note)::text as row, count(*)::int as n from loose group by a, note",
    );
    // Three times one that comes and three that are updated; three that go once.
    await reading.rows(15);
    const counts = new Map<string, number>();
    const count = (row: object | null, by: number): void => {
      if (row !== null) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + by);
    };
    for (const { data } of rows) count(JSON.parse(Buffer.from(data).toString()).after, 1);
    for (const { subject, data } of reading.events) {
      if (!subject.startsWith("cdc.shop.public.loose.")) continue;
      const body = JSON.parse(Buffer.from(data).toString());
      count(body.before, -1);
      count(body.after, 1);
    }
    expect(new Map([...counts].filter(([, n]) => n !== 0))).toEqual(
      new Map(held.map(({ row, n }) => [JSON.stringify(JSON.parse(row)), n])),
    );
    const [event] = reading.events.filter(({ subject }) => subject.startsWith("cdc.shop.public.loose."));

    expect(rows.map(idOf)).toEqual(Array.from({ length: 300 }, (_, nth) => nth + 1));
    expect(new Set(rows.map(({ key }) => key)).size).toBe(300);
    expect(rows[0]).toMatchObject({ unkeyed: true, lane: event?.subject.split(".")[5], time: first.asOf?.time });
    expect(JSON.parse(Buffer.from(rows[0]?.data ?? "").toString())).toMatchObject({ op: "read", key: null });
    const transaction = /Cdc-Tx: (\d+)/.exec(event?.head ?? "")?.[1] ?? "";
    expect(first.includes({ position: "", transaction })).toBe(false);
    await reading.stop();
  });

  test("keeps nobody from changing it between two slices, and begins again where it is written anew", async () => {
    const { source, reading } = await fixture.begin();
    const first = await sliceOf(source, "loose");
    const slice = await sliceOf(source, "loose", { after: behind(first), maxRows: 5 });
    await fixture.database.query("vacuum full loose");
    const anew = await sliceOf(source, "loose", { after: behind(slice), maxRows: 5 });

    expect(anew.rows).toEqual([]);
    expect(anew.asOf?.snapshot).not.toBe(first.asOf?.snapshot);
    const again = await sliceOf(source, "loose", { after: behind(anew), maxRows: 5 });
    expect(again.rows.map(idOf)).toEqual(slice.rows.map(idOf));
    expect(again.rows.map(({ key }) => key)).not.toEqual(slice.rows.map(({ key }) => key));
    await reading.stop();
  });

  test("holds its snapshot until it rests, or another table is read", async () => {
    const { source, reading } = await fixture.begin({ options: { timeout: "900ms" } });
    const held = async (): Promise<unknown> => fixture.value("select n from holds");
    const first = await sliceOf(source, "loose");
    expect(await held()).toBe(1);
    await source.copier?.rest?.();
    await waitFor(async () => (await held()) === 0, { what: "the snapshot to be given back" });
    expect((await sliceOf(source, "loose", { after: behind(first) })).rows).toEqual([]);
    expect(await held()).toBe(1);
    await fixture.database.query("create table keyed(id int primary key)");
    await waitFor(async () => ((await fixture.published()) as string).includes("keyed"), {
      what: "keyed to be published",
    });
    await sliceOf(source, "keyed");
    await waitFor(async () => (await held()) === 0, { what: "the snapshot to be given back" });
    await reading.stop();
  });

  test("gives its snapshot back after an hour, and waits for a person then", async () => {
    const { source, reading } = await fixture.begin();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const first = await sliceOf(source, "loose").finally(() => {
      vi.advanceTimersByTime(3600_000);
      vi.useRealTimers();
    });

    expect(await failureOf(sliceOf(source, "loose", { after: behind(first) }))).toMatchObject({
      code: "BACKFILL_SNAPSHOT_AGE",
      message: expect.stringContaining("public.loose has no key"),
    });
    await source.copier?.rest?.(); // paused, and resumed
    expect((await sliceOf(source, "loose", { after: behind(first) })).asOf).toBeDefined();
    await reading.stop();
  });

  test("is read in slices that look at twice as many blocks as they may have rows, though few pass a filter, or none", async () => {
    if (process.env.POSTGRES === "postgres14") return; // it knows no row filters
    await fixture.database.query(`
      alter table loose alter note set storage plain;
      truncate loose; insert into loose select i, repeat('x', 5000) from generate_series(1, 40) i;
      create publication millrace_shop for table loose where (a in (1, 2, 23, 40))`);
    const { source, reading } = await fixture.begin();
    const slices: unknown[] = [];
    let slice = await sliceOf(source, "loose");
    // Rows that come meanwhile lie behind its blocks.
    await fixture.database.query("insert into loose select 40, repeat('x', 5000) from generate_series(1, 5)");
    while (!slice.isLast) {
      slice = await sliceOf(source, "loose", { after: behind(slice), maxRows: 5 });
      const place = slice.isLast ? undefined : (behind(slice) as { ctid?: string }).ctid;
      slices.push([slice.rows.map(idOf), place, slice.isLast]);
    }

    // One row in each block.
    expect(slices).toEqual([
      [[1, 2], "(10,0)", false],
      [[], "(20,0)", false],
      [[23], "(30,0)", false],
      [[40], undefined, true],
    ]);
    await reading.stop();
  });

  test("is also one of which only inserts are told, whatever its primary key", async () => {
    await fixture.database.query(`
      create table none(id int primary key); insert into none values (1);
      alter table none replica identity nothing;
      create table late(id int primary key deferrable); insert into late values (1);
      create publication millrace_shop for table none, late with (publish = 'insert')`);
    const { source, reading } = await fixture.begin({ options: { tables: ["public.none", "public.late"] } });
    for (const name of ["none", "late"]) {
      const first = await sliceOf(source, name);
      const { rows } = await sliceOf(source, name, { after: behind(first) });
      expect(rows.map(({ data }) => JSON.parse(Buffer.from(data).toString()).key)).toEqual([null]);
    }
    await reading.stop();
  });
});
