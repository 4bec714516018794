// Copies of tables by keys of every type on a real Postgres: pages lose and double no row, and a row is found by its key as events
// have it, where that leads back to the database's own text.

import { expect, onTestFinished, test } from "vitest";
import type { RowCopier, SliceRequest } from "../../../../src/source/capabilities.ts";
import { openShop, Reading } from "../../../support/postgres/reader.ts";
import { freshDatabase, missing } from "../../../support/servers.ts";

interface KeyCase {
  /** Of the column `id`. */
  readonly type: string;
  /** In a unique index that is the replica identity, how it compares; else `id` is the primary key. */
  readonly index?: string;
  /** SQL, in the order of the index. */
  readonly values: readonly string[];
  /** Whether rows can be asked for by the keys that events have. */
  readonly byKey: boolean;
}

const texts = (...values: string[]): readonly string[] => values.map((value) => `'${value.replaceAll("'", "''")}'`);

const cases: Readonly<Record<string, KeyCase>> = {
  int: { type: "int", values: ["-2147483648", "-1", "0", "7", "2147483647"], byKey: true },
  bigint: { type: "bigint", values: ["-9223372036854775808", "9007199254740993", "9223372036854775807"], byKey: true },
  numeric: { type: "numeric", values: texts("-Infinity", "-1.50", "0", "1e30", "Infinity", "NaN"), byKey: true },
  real: { type: "real", values: texts("-Infinity", "-0.1", "0", "1e-30", "3.4e38", "NaN"), byKey: true },
  double: { type: "double precision", values: texts("-Infinity", "-0.1", "0.30000000000000004", "NaN"), byKey: true },
  bool: { type: "boolean", values: ["false", "true"], byKey: true },
  text: { type: 'text collate "C"', values: texts("", " ", '"', "%", "'", ",", "\\", "a,b", "ä"), byKey: true },
  chars: { type: "char(4)", values: texts("a", "ab", "abcd"), byKey: true },
  name: { type: "name", values: texts("a", "b c"), byKey: true },
  uuid: {
    type: "uuid",
    values: texts("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"),
    byKey: true,
  },
  bytea: { type: "bytea", values: texts("\\x", "\\x00", "\\x00ff", "\\x00ff27", "\\xfbff"), byKey: true },
  date: {
    type: "date",
    values: texts("-infinity", "4713-01-01 BC", "0001-12-31 BC", "0001-01-01", "2024-02-29", "12345-01-02", "infinity"),
    byKey: true,
  },
  stamp: {
    type: "timestamp",
    values: texts("-infinity", "0044-03-15 12:00 BC", "2024-02-29 18:29:59.123456", "20000-01-01", "infinity"),
    byKey: true,
  },
  stamptz: {
    type: "timestamptz",
    values: texts("-infinity", "0001-01-01 00:00:01.5+00 BC", "1883-11-18 00:00+00", "2024-02-29 01:00+02", "infinity"),
    byKey: true,
  },
  clock: { type: "time", values: texts("00:00", "12:34:56.789", "24:00"), byKey: true },
  clocktz: { type: "timetz", values: texts("12:00+02", "12:00-03:30"), byKey: true },
  span: { type: "interval", values: texts("-1 year", "0", "1 day 2 hours 3.4 seconds", "1 month"), byKey: true },
  inet: { type: "inet", values: texts("10.0.0.0/8", "10.0.0.1", "::1"), byKey: true },
  bits: { type: "bit varying", values: ["b'0'", "b'01'", "b'1'"], byKey: true },
  jsonb: {
    type: "jsonb",
    values: texts("null", '"7"', '"a, \\" b"', "1.50", "7", "[1, 2]", '{"a": {"b": "x y"}}'),
    byKey: true,
  },
  // Their operators are no more found by name than those of any extension: text's, which are, have another order.
  citext: { type: "citext", values: texts("a", "B", "c", "D"), byKey: true },
  ltree: { type: "ltree", values: texts("a", "a.b", "a.b.c", "ab"), byKey: true },
  // The column's own operators hold the last two for one key, of which the index has two.
  loose: { type: "text collate loose", index: 'collate "C"', values: texts("0", "A", "a"), byKey: true },
  pattern: { type: "text", index: "text_pattern_ops", values: texts("B", "a", "b"), byKey: true },
  mood: { type: "mood", values: texts("sad", "glad"), byKey: true },
  positive: { type: "positive", values: ["1", "2"], byKey: true },
  digest: { type: "digest", values: texts("\\x00", "\\xff"), byKey: true },
  moment: { type: "moment", values: texts("2024-01-01 00:00+00", "2024-01-02 00:00+00"), byKey: true },
  list: { type: "int[]", values: texts("{}", "{1,2}", "{1,3}"), byKey: false },
  span_of: { type: "int4range", values: texts("empty", "[1,3)", "[2,)"), byKey: false },
  piece: { type: "part", values: texts('(1,"a,b")', "(2,)"), byKey: false },
  hidden: { type: "int", values: ["1", "2", "3"], byKey: false },
};

const setUp = `
  create extension citext; create extension ltree;
  create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create type mood as enum ('sad', 'glad');
  create type part as (a int, b text);
  create domain positive as int check (value > 0);
  create domain digest as bytea;
  create domain moment as timestamptz;
  ${Object.entries(cases)
    .map(
      ([name, { type, index, values }]) =>
        `create table k_${name}(id ${type} ${index === undefined ? "primary key" : "not null"}, note text);
        ${index === undefined ? "" : `create unique index i_${name} on k_${name} (id ${index}); alter table k_${name} replica identity using index i_${name};`}
        insert into k_${name} values ${values
          .toReversed()
          .map((value) => `(${value})`)
          .join()};`,
    )
    .join("\n")}`;

test.skipIf(missing("postgres"))("keys of every type", async () => {
  const database = await freshDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query(setUp);
  const tables = ["public.*", { match: "public.k_hidden", mask: { id: "hash" } }];
  const source = await openShop(database.url, { options: { tables, maskKey: "a-key-of-the-test" } });
  onTestFinished(() => source[Symbol.asyncDispose]());
  const reading = new Reading(source);
  await reading.until(() => reading.events.length > 0, "the first marker");
  const copier = source.copier as RowCopier;
  const targets = await copier.targets();

  const updates = Object.entries(cases).flatMap(([name, { type, index, values }]) =>
    values.map(
      (value) =>
        `update k_${name} set note = 'x' where id = (${value})::${type}${index === undefined ? "" : ' collate "C"'}`,
    ),
  );
  const told = new Map<string, string[]>();
  const before = reading.events.length;
  await database.query(updates.join(";"));
  const changes = (): typeof reading.events =>
    reading.events.slice(before).filter(({ subject }) => subject.startsWith("cdc."));
  await reading.until(() => changes().length >= updates.length, "the updates");
  for (const { head } of changes()) {
    const [, table = "", key = ""] = /ce-subject: ([^/]*)\/(.*)\r\n/.exec(head) ?? [];
    told.set(table, [...(told.get(table) ?? []), key]);
  }

  for (const [name, { values, byKey }] of Object.entries(cases)) {
    const target = targets.find(({ collection }) => collection === `k_${name}`) ?? expect.unreachable(name);
    const read = (more: Partial<SliceRequest>): ReturnType<RowCopier["readSlice"]> =>
      copier.readSlice({
        ...{ target, after: undefined, maxRows: 1000, maxBytes: 1e6, backfill: 7 },
        ...{ signal: new AbortController().signal, ...more },
      });
    const keys: string[] = [];
    let after: SliceRequest["after"];
    for (let slices = 0; slices <= values.length; slices++) {
      const slice = await read({ after, maxRows: 2 });
      keys.push(...slice.rows.map(({ key }) => key));
      if (slice.isLast) break;
      // As it comes back from the stream.
      after = JSON.parse(JSON.stringify(slice.after(slice.rows.length - 1)));
    }
    expect(keys, `pages of ${name}`).toEqual(told.get(`public.k_${name}`));

    const all = await read({});
    expect(all.readsKeys, `whether keys of ${name} lead back`).toBe(byKey);
    const asked = await read({
      keys: keys.toReversed(),
      after: JSON.parse(JSON.stringify(all.after(keys.length - 1))),
    });
    expect(
      asked.rows.map(({ key }) => key),
      `${name} by its keys`,
    ).toEqual(byKey ? keys : []);
  }
  await reading.stop();
});
