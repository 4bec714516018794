// Runs the corpus of types through a server and a source: what came out of each value, and what SQL says of it.

import type { Client } from "pg";
import { canonicalJson, laneOf } from "../../../src/event/lane.ts";
import { openShop, Reading } from "../postgres/reader.ts";
import { CORPUS, CORPUS_TYPES, type CorpusType } from "../postgres/type-corpus.ts";
import type { Database } from "../servers.ts";
import { asJson, RULE_FUNCTIONS } from "./type-rules.ts";

export interface Delivered {
  readonly type: string;
  readonly value: string;
  /** The JSON text as it stands in the event. */
  readonly json: string;
  /** The JSON text that SQL makes of the row. */
  readonly expected: string;
  /** Whether the two must be the same letter by letter, not only say the same. */
  readonly verbatim: boolean;
}

/** What a role may be set to, against which the stream must defend itself. */
export const HOSTILE: Readonly<Record<string, string>> = {
  datestyle: "'SQL, DMY'",
  timezone: "'Asia/Kolkata'",
  intervalstyle: "'sql_standard'",
  bytea_output: "'escape'",
  extra_float_digits: "-15",
  client_encoding: "'LATIN1'",
  standard_conforming_strings: "off",
  quote_all_identifiers: "on",
  xmlbinary: "'hex'",
  search_path: "'nowhere'",
  default_transaction_isolation: "'serializable'",
};

/** A table of the corpus: values of a type beside the primary key, or as it. */
interface CorpusTable {
  readonly name: string;
  readonly corpusType: CorpusType;
  readonly asKey: boolean;
  readonly values: readonly (string | null)[];
}

/**
 * Each value by the stream and by SQL, the null of each type, and keys with their lanes.
 * @param settings of the role that reads
 */
export async function deliverCorpus(
  database: Database,
  settings: Readonly<Record<string, string>>,
): Promise<readonly Delivered[]> {
  const client = await database.connect();
  try {
    await client.query(CORPUS_TYPES + RULE_FUNCTIONS);
    const tables = (await typesOf(client)).flatMap(tablesOf);
    await client.query(
      tables.map(({ name, corpusType: { type }, asKey }) => `create table ${name} ${columns(type, asKey)}`).join(";"),
    );
    const name = new URL(database.url).pathname.slice(1);
    for (const [setting, value] of Object.entries(settings)) {
      await client.query(`alter role current_user in database ${name} set ${setting} = ${value}`);
    }
    const events = await eventsOf(database, tables, client);
    await client.query("set intervalstyle = 'iso_8601'");
    const delivered: Delivered[] = [];
    for (const table of tables) {
      const expected = await expectedOf(client, table);
      for (const [id, json] of expected.entries())
        delivered.push(compare(table, id, json, events.get(`${table.name} ${id}`)));
    }
    return delivered;
  } finally {
    await client.end();
  }
}

function tablesOf(corpusType: CorpusType, nth: number): CorpusTable[] {
  const { values, key } = corpusType;
  const beside = { name: `t${nth}`, corpusType, asKey: false, values: [...values, null] };
  if (key === undefined) return [beside];
  // As a key -0 is 0: the rarer one is tried.
  const distinct = values.filter((value) => value !== "0" || !values.some((other) => other.startsWith("-0")));
  return [beside, { name: `k${nth}`, corpusType, asKey: true, values: distinct }];
}

function columns(type: string, asKey: boolean): string {
  return asKey ? `(id int, v ${type} primary key)` : `(id int primary key, v ${type})`;
}

interface Event {
  readonly subject: string;
  readonly text: string;
}

/** By table and id. */
async function eventsOf(
  database: Database,
  tables: readonly CorpusTable[],
  client: Client,
): Promise<ReadonlyMap<string, Event>> {
  const source = await openShop(database.url);
  const reading = new Reading(source);
  await reading.until(() => reading.events.length > 0, "the first marker");
  for (const { name, values } of tables) {
    for (const [id, value] of values.entries()) {
      await client.query(`insert into ${name} (id, v) values (${id}, $1)`, [value]);
    }
  }
  await reading.rows(tables.reduce((sum, { values }) => sum + values.length, 0));
  const events = reading.events.map(({ subject, data }) => ({ subject, text: Buffer.from(data).toString("utf8") }));
  await reading.stop();
  await source[Symbol.asyncDispose]();
  return new Map(
    events.map((event) => {
      const [, id] = /"after":\{"id":(\d+),/.exec(event.text) ?? [];
      return [`${event.subject.split(".")[3]} ${id}`, event];
    }),
  );
}

function compare(table: CorpusTable, id: number, json: string, event: Event | undefined): Delivered {
  const { type, rule } = table.corpusType;
  const value = table.values[id] ?? "NULL";
  const { subject, text } = event ?? { subject: "", text: "nothing" };
  if (!table.asKey)
    return { type, value, json: between(text, ',"v":', "}}"), expected: json, verbatim: rule === asJson };
  const lane = laneOf(Buffer.from(canonicalJson({ v: JSON.parse(json) })));
  return {
    type: `${type} as a key`,
    value,
    json: `[${between(text, '"key":{"v":', '},"before":null,"after":{"id":')},"${subject.split(".").at(-1)}"]`,
    expected: `[${json},"${lane}"]`,
    verbatim: false,
  };
}

function between(text: string, lead: string, end: string): string {
  return text.slice(text.indexOf(lead) + lead.length, text.lastIndexOf(end));
}

/** The part of the corpus that this server has. */
export async function typesOf(client: Client): Promise<readonly CorpusType[]> {
  const { rows } = await client.query<{ version: number }>(
    "select current_setting('server_version_num')::int as version",
  );
  return CORPUS.filter(({ since = 0 }) => since <= (rows[0]?.version ?? 0));
}

/** By id. */
async function expectedOf(client: Client, { name, corpusType: { rule } }: CorpusTable): Promise<readonly string[]> {
  const json = rule === asJson ? "v::text" : `(${rule("v")})::text`;
  const { rows } = await client.query<{ json: string }>(
    `select coalesce(${json}, 'null') as json from ${name} order by id`,
  );
  return rows.map((row) => row.json);
}
