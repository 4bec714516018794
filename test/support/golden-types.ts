// Runs the corpus of types through a server and a source: what came out of each value, and what SQL says of it.

import type { Client } from "pg";
import { openShop, Reading } from "./postgres-reader.ts";
import type { Database } from "./servers.ts";
import { CORPUS, CORPUS_TYPES, type CorpusType } from "./type-corpus.ts";
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

/** Each value by the stream and by SQL, and the null of each type. @param settings of the role that reads */
export async function deliverCorpus(
  database: Database,
  settings: Readonly<Record<string, string>>,
): Promise<readonly Delivered[]> {
  const client = await database.connect();
  try {
    const types = await typesOf(client);
    await client.query(CORPUS_TYPES + RULE_FUNCTIONS);
    await client.query(
      types.map(({ type }, nth) => `create table ${table(nth)} (id int primary key, v ${type})`).join(";"),
    );
    for (const [name, value] of Object.entries(settings)) {
      await client.query(
        `alter role current_user in database ${new URL(database.url).pathname.slice(1)} set ${name} = ${value}`,
      );
    }
    const source = await openShop(database.url);
    const reading = new Reading(source);
    await reading.until(() => reading.events.length > 0, "the first marker");
    for (const [nth, { values }] of types.entries()) {
      for (const [id, value] of values.entries()) {
        await client.query(`insert into ${table(nth)} values (${id}, $1)`, [value]);
      }
      await client.query(`insert into ${table(nth)} values (-1, null)`);
    }
    await reading.rows(types.reduce((sum, { values }) => sum + values.length + 1, 0));
    const texts = new Map(reading.events.map(({ subject, data }) => [subjectAndKey(subject, data), jsonOf(data)]));
    await reading.stop();
    await source[Symbol.asyncDispose]();
    await client.query("set intervalstyle = 'iso_8601'");
    const delivered: Delivered[] = [];
    for (const [nth, corpusType] of types.entries()) {
      const expected = await expectedOf(client, nth, corpusType);
      for (const [id, json] of expected) {
        delivered.push({
          type: corpusType.type,
          value: corpusType.values[id] ?? "NULL",
          json: texts.get(`${table(nth)} ${id}`) ?? "nothing",
          expected: json,
          verbatim: corpusType.rule === asJson,
        });
      }
    }
    return delivered;
  } finally {
    await client.end();
  }
}

/** The part of the corpus that this server has. */
export async function typesOf(client: Client): Promise<readonly CorpusType[]> {
  const { rows } = await client.query<{ version: number }>(
    "select current_setting('server_version_num')::int as version",
  );
  return CORPUS.filter(({ since = 0 }) => since <= (rows[0]?.version ?? 0));
}

const table = (nth: number): string => `t${nth}`;

async function expectedOf(client: Client, nth: number, { rule }: CorpusType): Promise<readonly [number, string][]> {
  const json = `coalesce((${rule === asJson ? "v::text" : `(${rule("v")})::text`}), 'null')`;
  const { rows } = await client.query<{ id: number; json: string }>(
    `select id, ${json} as json from ${table(nth)} order by id`,
  );
  return rows.map(({ id, json: text }) => [id, text]);
}

/** The table's name and the row's id. */
function subjectAndKey(subject: string, data: Uint8Array): string {
  const [, id] = /"key":\{"id":(-?\d+)\}/.exec(Buffer.from(data).toString("utf8")) ?? [];
  return `${subject.split(".")[3]} ${id}`;
}

function jsonOf(data: Uint8Array): string {
  const text = Buffer.from(data).toString("utf8");
  const lead = ',"v":';
  return text.slice(text.indexOf(lead) + lead.length, -"}}".length);
}
