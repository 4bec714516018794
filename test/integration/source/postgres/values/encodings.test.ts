// Databases that are not kept in UTF-8: rows are told in their own letters, a row with a byte that is no letter is poison in
// its place, and logical messages come as they are kept.

import { Client } from "pg";
import { expect, test } from "vitest";
import { serverLetters } from "../../../../../src/source/postgres/decode/encoding/server-letters.ts";
import type { EncodedMessage } from "../../../../support/bus/encoded.ts";
import { openShop, Reading, type TestSource } from "../../../../support/postgres/reader.ts";
import { freshDatabase, missing } from "../../../../support/servers.ts";

interface Encoded extends AsyncDisposable {
  readonly client: Client;
  open(options: Readonly<Record<string, unknown>>): Promise<TestSource>;
}

let databases = 0;

/** A database in this encoding; all its names are its own. */
async function encodedDatabase(encoding: string, publication?: string): Promise<Encoded> {
  const host = await freshDatabase();
  const name = `encoded_${++databases}`;
  await host.query(`create database ${name} encoding '${encoding}' lc_collate 'C' lc_ctype 'C' template template0`);
  const url = host.url.replace(/[^/]+$/, name);
  const client = new Client({ connectionString: url });
  await client.connect();
  const sources: TestSource[] = [];
  return {
    client,
    open: async (options) => {
      const source = await openShop(url, { options: { slot: name, publication: publication ?? name, ...options } });
      sources.push(source);
      return source;
    },
    [Symbol.asyncDispose]: async () => {
      for (const source of sources) await source[Symbol.asyncDispose]();
      await client.end();
      await host.query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", [
        name,
      ]);
      await host.query(`drop database ${name} with (force)`);
      await host[Symbol.asyncDispose]();
    },
  };
}

/** In their order: what each row says, and what stands for poison. */
function told(messages: readonly EncodedMessage[]): readonly unknown[] {
  return messages.flatMap((message): readonly unknown[] => {
    if (message.type === "poison") return [{ poison: message.collection, code: message.error.code }];
    if (message.type !== "message" || !message.subject.startsWith("cdc.")) return [];
    const { op, key, after } = JSON.parse(Buffer.from(message.data).toString());
    return [{ op, key, after }];
  });
}

const row = (op: string, id: unknown, v?: string): unknown => ({
  op,
  key: { id },
  after: v === undefined ? null : { id, v },
});
const poison = (collection: string): unknown => ({ poison: collection, code: "TEXT_UNDEFINED" });

test.skipIf(missing("postgres"))("the letters of each encoding are those that the server converts", async () => {
  await using host = await freshDatabase();
  await host.query(`create function letter(byte int, encoding text) returns text language plpgsql as $$
    begin return convert_from(set_byte('\\x00', 0, byte), encoding);
    exception when untranslatable_character then return U&'\\FFFD'; end $$`);
  const encodings = await host.query<{ encoding: string; letters: string }>(`
    select pg_encoding_to_char(n) as encoding,
      (select string_agg(letter(byte, pg_encoding_to_char(n)), '' order by byte) from generate_series(128, 255) byte) as letters
    from generate_series(0, 60) n
    where pg_encoding_max_length(n) = 1 and pg_encoding_to_char(n) not in ('', 'SQL_ASCII')`);

  expect(encodings.length).toBeGreaterThan(25);
  const incomplete = encodings.filter(({ letters }) => letters.includes("\ufffd"));
  expect(Object.fromEntries(incomplete.map(({ encoding, letters }) => [encoding, letters]))).toEqual(serverLetters);
});

test.skipIf(missing("postgres")).each([
  ["WIN1252", "\u00e9\u20ac\u0178\u00ff"],
  ["LATIN1", "\u00e9\u00ff\u00c3\u00a9"],
  ["LATIN2", "\u0151\u0159\u010f"],
  ["WIN1250", "\u0151\u0159\u20ac"],
  ["WIN1251", "\u0436\u042f\u0451"],
  ["KOI8R", "\u0436\u042f\u0451"],
  ["WIN874", "\u0e01\u0e5b"],
  ["EUC_JP", "\u3042\u6f22"],
])("names and values of a %s database are told in its letters: %s", async (encoding, letters) => {
  await using database = await encodedDatabase(encoding, `pub ${letters}`);
  const { client } = database;
  await client.query(`create domain "d${letters}" as text`);
  await client.query(`create table "t${letters}" (id text primary key, "c${letters}" "d${letters}", a text[], n int)`);
  const source = await database.open({ tables: ["public.*"], messages: [letters] });
  const reading = new Reading(source);
  await reading.until(() => reading.events.length > 0, "the first marker");
  await client.query(`insert into "t${letters}" values ($1, $2, $3, 1)`, [
    letters,
    `a"${letters}\\`,
    [letters, "x, y"],
  ]);
  await client.query(`update "t${letters}" set id = id || '2'`);
  await client.query("select pg_logical_emit_message(true, $1, 'm')", [letters]);
  await client.query(`delete from "t${letters}"`);
  await reading.rows(4);

  const after = { [`c${letters}`]: `a"${letters}\\`, a: [letters, "x, y"], n: 1 };
  expect(told(reading.messages)).toEqual([
    { op: "created", key: { id: letters }, after: { id: letters, ...after } },
    { op: "deleted", key: { id: letters }, after: null },
    { op: "created", key: { id: `${letters}2` }, after: { id: `${letters}2`, ...after } },
    { op: "deleted", key: { id: `${letters}2` }, after: null },
  ]);
  const events = reading.events.filter(({ subject }) => subject.startsWith("meta.shop.message."));
  expect(events.map(({ data }) => JSON.parse(Buffer.from(data).toString()))).toEqual([
    { prefix: letters, transactional: true, content: "m" },
  ]);
  await reading.stop();
});

test.skipIf(missing("postgres"))("a row with a byte that is no letter is poison in its place", async () => {
  await using database = await encodedDatabase("WIN1252");
  const { client } = database;
  await client.query("create table t (id int primary key, v text); create table k (id text primary key, v text)");
  await client.query("create table f (id int primary key, v text); alter table f replica identity full");
  const source = await database.open({ tables: ["public.*"] });
  const reading = new Reading(source);
  await reading.until(() => reading.events.length > 0, "the first marker");
  const transactions = [
    "insert into t values (1, 'caf' || chr(233))",
    "insert into t values (2, 'before'); insert into t values (3, 'x' || chr(129)), (4, chr(128)); insert into t values (5, chr(144))",
    "insert into t values (6, 'behind')",
    "update t set v = chr(129) where id = 1; update t set v = chr(252) where id = 1",
    "delete from t where id = 3",
    "insert into k values (chr(129), 'a'), ('b', 'b')",
    "update k set v = 'c' where id = chr(129)",
    "update k set id = 'd' where id = chr(129)",
    "update k set id = chr(141) where id = 'b'; delete from k where id = chr(141)",
    "insert into f values (1, chr(129)); update f set v = 'good'; update f set v = v; delete from f",
    "insert into t values (7, 'last')",
  ];
  for (const transaction of transactions) await client.query(transaction);
  const last = (): boolean => JSON.stringify(reading.bodies.at(-1)).includes("last");
  await reading.until(last, "the last row");

  const expected = [
    row("created", 1, "caf\u00e9"),
    row("created", 2, "before"),
    poison("t"),
    row("created", 4, "\u20ac"),
    poison("t"),
    row("created", 6, "behind"),
    poison("t"),
    row("updated", 1, "\u00fc"),
    row("deleted", 3),
    poison("k"),
    row("created", "b", "b"),
    poison("k"),
    poison("k"),
    poison("k"),
    poison("k"),
    poison("f"),
    poison("f"),
    row("updated", 1, "good"),
    row("deleted", 1),
    row("created", 7, "last"),
  ];
  expect(told(reading.messages)).toEqual(expected);
  const positions = reading.messages.map(({ position }) => position);
  expect(new Set(positions).size).toBe(positions.length);
  const first = reading.messages.find((message) => message.type === "poison");
  expect(first).toMatchObject({ namespace: "public", collection: "t", sizeBytes: 21 });
  expect(Buffer.from(first?.type === "poison" ? first.raw : []).subarray(-2)).toEqual(Buffer.from([0x78, 0x81]));
  await reading.stop();

  const again = new Reading(source);
  await again.until(() => again.bodies.length >= reading.bodies.length, "the same rows again");
  expect(told(again.messages)).toEqual(expected);
  expect(again.messages.filter(({ type }) => type === "poison").map(({ position }) => position)).toEqual(
    reading.messages.filter(({ type }) => type === "poison").map(({ position }) => position),
  );
  await again.stop();
});

test.skipIf(missing("postgres"))(
  "what is too large, or read again, is told in the database's letters too",
  async () => {
    await using database = await encodedDatabase("WIN1252");
    const { client } = database;
    await client.query(
      "create table c (id int primary key, v text, n int); alter table c alter v set storage external",
    );
    const source = await database.open({
      tables: [{ match: "public.c", toast: "reselect" }],
      messages: ["\u00e9", "q"],
      maxRowBytes: 1024 * 1024,
    });
    const reading = new Reading(source);
    await reading.until(() => reading.events.length > 0, "the first marker");
    await client.query("insert into c values (1, repeat(chr(129), 9000)), (2, repeat(chr(233), 9000))");
    await client.query("update c set n = 2");
    await client.query("insert into c values (3, repeat(chr(233), 2000000))");
    for (const prefix of ["\u00e9", "q"])
      await client.query("select pg_logical_emit_message(true, $1, repeat(chr(129), 2000000))", [prefix]);
    await client.query("insert into c values (4, 'last')");
    await reading.rows(4);

    const v = "\u00e9".repeat(9000);
    const large = (collection: string): unknown => ({ poison: collection, code: "ROW_TOO_LARGE" });
    expect(told(reading.messages)).toEqual([
      poison("c"),
      { op: "created", key: { id: 2 }, after: { id: 2, v, n: null } },
      { op: "updated", key: { id: 1 }, after: { id: 1, n: 2 } },
      { op: "updated", key: { id: 2 }, after: { id: 2, v, n: 2 } },
      large("c"),
      large("\u00e9"),
      large("q"),
      { op: "created", key: { id: 4 }, after: { id: 4, v: "last", n: null } },
    ]);
    await reading.stop();
  },
);

test.skipIf(missing("postgres")).each([
  ["LATIN1", "chr(233)", { content: "\u00e9" }],
  ["LATIN1", "chr(195) || chr(169)", { content: "\u00c3\u00a9" }],
  ["LATIN1", "'\\x00ff'::bytea", { contentBase64: "AP8=" }],
  ["WIN1252", "'plain'", { content: "plain" }],
  ["WIN1252", "chr(129)", { contentBase64: "gQ==" }],
  ["WIN1252", "'\\xc3a9'::bytea", { contentBase64: "w6k=" }],
])("a message of a %s database, %s, is its text or plainly its bytes", async (encoding, sql, content) => {
  await using database = await encodedDatabase(encoding);
  const reading = new Reading(await database.open({ tables: ["!public.*"], messages: ["m"] }));
  await reading.until(() => reading.events.length > 0, "the first marker");
  await database.client.query(`select pg_logical_emit_message(true, 'm', ${sql})`);
  await reading.until(() => reading.events.some(({ subject }) => subject === "meta.shop.message.m"), "the message");

  const [message] = reading.events.filter(({ subject }) => subject === "meta.shop.message.m");
  expect(JSON.parse(Buffer.from(message?.data ?? "").toString())).toEqual({
    prefix: "m",
    transactional: true,
    ...content,
  });
  await reading.stop();
});
