// Every kind of ALTER TABLE, between transactions, inside one, and while nobody reads: each event is decoded by the version
// that it was written under, and the stream is told of a new version before the first event of it.

import { describe, expect, test } from "vitest";
import { asStored, followVersions } from "../../../support/check/follow-versions.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { Reading } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";

interface Alteration {
  /** Of the table `public.<name>`. */
  readonly sql: (name: string) => string;
  /** Where its rows are then. */
  readonly table?: string;
  /** What its key is called then: `id` by default. */
  readonly key?: string;
  /** The new row, but for its key. */
  readonly row: Readonly<Record<string, unknown>>;
  /** What the stream is told, at the first event of the new version; undefined when no event depends on the change. */
  readonly changes: unknown;
  /** What it is told besides, where the catalog was asked before and after: the log does not say it. */
  readonly nullable?: string;
  /** What a deleted row says of itself beside its `id`, where it is more than the key. */
  readonly deleted?: Readonly<Record<string, unknown>>;
}

const alterations: Readonly<Record<string, Alteration>> = {
  add: {
    sql: (name) => `alter table ${name} add c numeric(6,2) default 1.5`,
    row: { a: "x", b: 0, c: "1.50" },
    changes: { added: ["c"] },
  },
  drop: { sql: (name) => `alter table ${name} drop a`, row: { b: 0 }, changes: { dropped: ["a"] } },
  rename: {
    sql: (name) => `alter table ${name} rename a to title`,
    row: { title: "x", b: 0 },
    changes: { renamed: [{ from: "a", to: "title" }] },
  },
  replace: {
    sql: (name) => `alter table ${name} drop a; alter table ${name} add a text default 'y'`,
    row: { a: "y", b: 0 },
    changes: { added: ["a"], dropped: ["a"] },
  },
  retype: {
    sql: (name) => `alter table ${name} alter b type bigint, alter a type varchar(20)`,
    row: { a: "x", b: "0" },
    changes: {
      retyped: [
        { column: "a", from: "text", to: "character varying(20)" },
        { column: "b", from: "integer", to: "bigint" },
      ],
    },
  },
  defaults: { sql: (name) => `alter table ${name} alter b set default 7`, row: { a: "x", b: 7 }, changes: undefined },
  constrain: {
    sql: (name) => `alter table ${name} alter a set not null`,
    row: { a: "x", b: 0 },
    changes: undefined,
    nullable: "a",
  },
  identity: {
    sql: (name) => `alter table ${name} replica identity full`,
    row: { a: "x", b: 0 },
    changes: { identity: "key" },
    deleted: { a: "x", b: 0 },
  },
  index: {
    sql: (name) =>
      `alter table ${name} alter a set not null; create unique index ${name}_index on ${name} (a, id);
       alter table ${name} replica identity using index ${name}_index`,
    row: { a: "x", b: 0 },
    changes: { key: ["id"], identity: "key" },
    nullable: "a",
    deleted: { a: "x" },
  },
  called: {
    sql: (name) => `alter table ${name} rename id to number`,
    key: "number",
    row: { a: "x", b: 0 },
    changes: { renamed: [{ from: "id", to: "number" }] },
  },
  rekey: {
    sql: (name) => `alter table ${name} alter a set not null, drop constraint ${name}_pkey, add primary key (id, a)`,
    row: { a: "x", b: 0 },
    changes: { key: ["id"] },
    nullable: "a",
    deleted: { a: "x" },
  },
  call: {
    sql: (name) => `alter table ${name} rename to ${name}_new`,
    table: "public.call_new",
    row: { a: "x", b: 0 },
    changes: { renamedFrom: "public.call" },
  },
  move: {
    sql: (name) => `alter table ${name} set schema other`,
    table: "other.move",
    row: { a: "x", b: 0 },
    changes: { renamedFrom: "public.move" },
  },
};

const again = (name: string): string => `drop table ${name};
  create table ${name}(id int primary key, at date default '2024-02-29'); alter publication millrace_shop add table ${name}`;

/** The catalog is of now: that a column may no longer be null may be told early, or not at all. */
function nullableApart(changes: unknown): { readonly nullable: string | undefined; readonly others: unknown } {
  const { nullable, ...others } = (changes ?? {}) as { readonly nullable?: readonly { readonly column: string }[] };
  return { nullable: nullable?.[0]?.column, others };
}

describe.skipIf(missing("postgres"))("after an ALTER TABLE", () => {
  const names = Object.keys(alterations);
  const fixture = postgresFixture(
    [
      "create schema other; create table other.first(id int primary key)",
      ...[...names, "again"].map(
        (name) => `create table ${name}(id int primary key, a text default 'x', b int default 0)`,
      ),
    ].join(";"),
  );
  const options = { tables: ["public.*", "other.*"] };
  const tableOf = (name: string): string => alterations[name]?.table ?? `public.${name}`;
  const insert = (table: string, id: number): string => `insert into ${table} values (${id})`;
  const deleteFirst = (name: string): string =>
    `delete from ${tableOf(name)} where ${alterations[name]?.key ?? "id"} = 1`;

  /** What a table's events must be: two rows, the change, another row, and the deletion of the first. */
  const judge = (reading: Reading, name: string, live: boolean): void => {
    const {
      row,
      changes,
      nullable,
      deleted = {},
      key = "id",
      table = `public.${name}`,
    } = alterations[name] as Alteration;
    const before = { a: "x", b: 0 };
    const followed = followVersions(asStored(reading.messages)).filter(({ collection }) =>
      [`public.${name}`, table].includes(collection),
    );
    const [first, second, third, last] = followed;
    expect(followed.map(({ body }) => body.op)).toEqual(["created", "created", "created", "deleted"]);
    expect([first?.body.after, second?.body.after, third?.body.after]).toEqual([
      { id: 1, ...before },
      { id: 2, ...before },
      { [key]: 3, ...row },
    ]);
    expect(last?.body.before, name).toEqual({ [key]: 1, ...deleted });
    expect(first?.announced).toMatchObject({ previous: null, changes: null });
    const [early, told] = [second, third].map((event) => nullableApart(event?.announced?.changes));
    expect(early?.others, name).toEqual({});
    expect(told?.others, name).toEqual(changes ?? {});
    if (live) expect(told?.nullable, name).toBe(nullable);
    expect(last?.announced).toBeUndefined();
  };

  /** Every event is there, and of the version that was announced last. */
  const judgeAll = async (reading: Reading, live = false): Promise<void> => {
    await reading.rows(4 * names.length);
    for (const name of names) judge(reading, name, live);
  };

  test("between transactions", async () => {
    const { reading } = await fixture.begin({ options });
    for (const name of names) {
      const { sql } = alterations[name] as Alteration;
      for (const id of [1, 2]) await fixture.database.query(insert(`public.${name}`, id));
      await reading.rows(4 * names.indexOf(name) + 2);
      await fixture.database.query(sql(name));
      await fixture.database.query(insert(tableOf(name), 3));
      await fixture.database.query(deleteFirst(name));
    }
    await judgeAll(reading, true);
    await reading.stop();
  });

  test("inside of one", async () => {
    const { reading } = await fixture.begin({ options });
    for (const name of names) {
      const { sql } = alterations[name] as Alteration;
      const statements = [insert(`public.${name}`, 1), insert(`public.${name}`, 2), sql(name)];
      await fixture.database.query([...statements, insert(tableOf(name), 3), deleteFirst(name)].join(";"));
    }
    await judgeAll(reading);
    await reading.stop();
  });

  test("while nobody reads", async () => {
    const { source, reading } = await fixture.begin({ options });
    for (const name of names) await fixture.database.query(insert(`public.${name}`, 1));
    await reading.rows(names.length);
    await reading.stop();
    for (const name of names) {
      const { sql } = alterations[name] as Alteration;
      for (const statement of [insert(`public.${name}`, 2), sql(name), insert(tableOf(name), 3), deleteFirst(name)])
        await fixture.database.query(statement);
    }
    const later = new Reading(await fixture.reopen(source, { options }), reading.last);
    await later.rows(3 * names.length);
    reading.messages.push(...later.messages);
    await judgeAll(reading);
    await later.stop();
  });

  test("inside of which a column comes and another goes, both versions are told", async () => {
    const { reading } = await fixture.begin({ options });
    await fixture.database.query(
      `${insert("add", 1)}; alter table add add c int default 1; ${insert("add", 2)}; alter table add drop a; ${insert("add", 3)}`,
    );
    await reading.rows(3);
    expect(
      followVersions(asStored(reading.messages)).map(({ body, announced }) => [body.after, announced?.changes]),
    ).toEqual([
      [{ id: 1, a: "x", b: 0 }, null],
      [{ id: 2, a: "x", b: 0, c: 1 }, { added: ["c"] }],
      [{ id: 3, b: 0, c: 1 }, { dropped: ["a"] }],
    ]);
    await reading.stop();
  });

  test.each(["between transactions", "inside of one", "while nobody reads"])(
    "a table dropped and made again %s is another table of the same name",
    async (when) => {
      const { source, reading } = await fixture.begin({ options });
      const statements = [insert("again", 1), again("again"), insert("again", 2)];
      let second = reading;
      if (when === "inside of one") await fixture.database.query(statements.join(";"));
      else {
        await fixture.database.query(insert("again", 1));
        await reading.rows(1);
        if (when === "while nobody reads") await reading.stop();
        for (const statement of statements.slice(1)) await fixture.database.query(statement);
        if (when === "while nobody reads")
          second = new Reading(await fixture.reopen(source, { options }), reading.last);
      }
      await second.rows(second === reading ? 2 : 1);
      const messages = second === reading ? reading.messages : [...reading.messages, ...second.messages];
      const rows = followVersions(asStored(messages));
      expect(rows.map(({ body }) => body.after)).toEqual([
        { id: 1, a: "x", b: 0 },
        { id: 2, at: "2024-02-29" },
      ]);
      expect(rows.map(({ announced }) => announced?.changes)).toEqual([null, null]);
      expect(rows[0]?.announced?.id).not.toBe(rows[1]?.announced?.id);
      await second.stop();
    },
  );

  test("a reconnect tells nothing that the stream was told", async () => {
    const { source, reading } = await fixture.begin({ options });
    await fixture.database.query(insert("add", 1));
    await reading.rows(1);
    await reading.stop();
    const later = new Reading(await fixture.reopen(source, { options }), reading.last);
    await fixture.database.query(insert("add", 2));
    await later.rows(1);
    expect(later.announcements).toEqual([]);
    await later.stop();
  });

  test("tables truncated together are told of together, before the first of them", async () => {
    const { reading } = await fixture.begin({ options });
    await fixture.database.query("truncate add, drop_me".replace("drop_me", '"drop"'));
    await reading.rows(2);
    const messages = reading.messages.filter((message) => message.type === "message").slice(1);
    const places = messages.map(({ position }) => position.split(".").at(-1));
    expect(places).toEqual(["a000000", "a000001", "r000000", "r000001+"]);
    const told = reading.announcements.map(({ data }) => JSON.parse(Buffer.from(data).toString()).collection);
    expect(told.sort()).toEqual(["add", "drop"]);
    await reading.stop();
  });
});
