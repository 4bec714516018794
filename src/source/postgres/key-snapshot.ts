// The keys of the tables as they are at one moment, written as events write them: what `verify --tables` compares with.

import type { Client, QueryArrayConfig } from "pg";
import { TransientError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { KeySnapshot, TableKeys } from "../source.ts";
import { describeTable, type TableDescription } from "./catalog.ts";
import type { PostgresConfig } from "./config.ts";
import { connectClient, endClient } from "./connect/dial.ts";
import { displaySettings } from "./display-settings.ts";
import { translateError } from "./errors.ts";
import { JsonWriter } from "./json-writer.ts";
import { clientConfig, Session } from "./session.ts";
import { visibleIn } from "./snapshot-visibility.ts";
import { quoteIdentifier, quoteTable } from "./sql.ts";
import { Table } from "./table.ts";
import { Tuple } from "./tuple.ts";

const FETCH_ROWS = 5000;
const POLL_MS = 500;
const TEXT = 0x74;

/** The columns of the key that events of a table carry: the identity index', under full identity the primary key's. */
const keyColumns = `
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name, a.attname AS column,
    a.atttypid::int8::text AS type, a.atttypmod AS typmod
  FROM pg_publication_tables t
  JOIN pg_namespace n ON n.nspname = t.schemaname JOIN pg_class c ON c.relname = t.tablename AND c.relnamespace = n.oid
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid
    AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident WHEN c.relreplident IN ('d', 'f') THEN i.indisprimary END
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
  WHERE t.pubname = $1
  ORDER BY n.nspname, c.relname, a.attnum`;

interface KeyColumn {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  /** Null for a table without a key. */
  readonly column: string | null;
  readonly type: string;
  readonly typmod: number;
}

/**
 * Takes a snapshot of the database and gives the keys of the published tables as it has them.
 * @param reachWithinMs how long the slot may take to be acknowledged up to the snapshot
 * @throws ConfigError PERMISSION_MISSING where the role may not read a table; TransientError VERIFY_BEHIND
 */
export async function openKeySnapshot(
  id: SourceId,
  config: PostgresConfig,
  { reachWithinMs, signal }: { readonly reachWithinMs: number; readonly signal: AbortSignal },
): Promise<KeySnapshot> {
  const options = clientConfig(id, config.url);
  const client = await connectClient(options);
  try {
    await client.query(displaySettings);
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const [taken] = (
      await client.query<{ snapshot: string; end: string }>(
        "SELECT pg_current_snapshot()::text AS snapshot, pg_current_wal_insert_lsn()::text AS end",
      )
    ).rows;
    if (taken === undefined) throw new Error("a snapshot has no row");
    const columns = (await client.query<KeyColumn>(keyColumns, [config.publication ?? `millrace_${id}`])).rows;
    await using session = new Session(options);
    await reached(session, { slot: config.slot ?? `millrace_${id}`, end: taken.end, withinMs: reachWithinMs, signal });
    return {
      includes: visibleIn(taken.snapshot),
      tables: await Promise.all(tablesOf(columns).map((table) => tableKeys(id, client, session, table))),
      [Symbol.asyncDispose]: () => endClient(client),
    };
  } catch (error) {
    await endClient(client);
    signal.throwIfAborted();
    throw translateError(error);
  }
}

/** Waits until the slot is acknowledged up to there: then the stream holds all that the snapshot shows. */
async function reached(
  session: Session,
  options: { readonly slot: string; readonly end: string; readonly withinMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const { slot, end, withinMs, signal } = options;
  const until = performance.now() + withinMs;
  for (;;) {
    signal.throwIfAborted();
    const [row] = await session.query<{ reached: boolean }>(
      "SELECT confirmed_flush_lsn >= $2::pg_lsn AS reached FROM pg_replication_slots WHERE slot_name = $1",
      [slot, end],
    );
    if (row?.reached === true) return;
    if (performance.now() > until) {
      throw new TransientError("VERIFY_BEHIND", `the slot ${slot} is not acknowledged up to ${end}`, {
        hint: "The stream must hold what the tables hold before both can be compared: see with `millrace status` that the worker runs, and run it again. What is held for the bus's fsync counts as not reached.",
      });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function tablesOf(columns: readonly KeyColumn[]): readonly (readonly KeyColumn[])[] {
  const tables = new Map<string, KeyColumn[]>();
  for (const column of columns) {
    const name = JSON.stringify([column.schema, column.name]);
    tables.set(name, [...(tables.get(name) ?? []), column]);
  }
  return [...tables.values()];
}

async function tableKeys(
  id: SourceId,
  client: Client,
  session: Session,
  columns: readonly KeyColumn[],
): Promise<TableKeys> {
  const { oid, schema, name } = columns[0] as KeyColumn;
  const keyed = columns.filter((column): column is KeyColumn & { readonly column: string } => column.column !== null);
  if (keyed.length === 0) return { namespace: schema, collection: name, keys: undefined };
  const types = keyed.map(({ type, typmod }) => ({ type: Number(type), typmod }));
  const description = await describeTable(session, Number(oid), types);
  const key = keyed.map(({ column, type, typmod }) => ({
    name: column,
    identity: true,
    type: Number(type),
    typmod,
    typeName: domainBase(description, Number(type)),
  }));
  const table = new Table(id, { oid: Number(oid), namespace: schema, name, identity: "d", columns: key }, description);
  const select = `SELECT ${key.map((column) => quoteIdentifier(column.name)).join(", ")} FROM ${quoteTable({ schema, name })}`;
  return { namespace: schema, collection: name, keys: () => readKeys(client, select, table) };
}

/** What the log says of a domain: the name of its base type, where that is a built-in one. */
function domainBase({ types }: TableDescription, oid: number): string | undefined {
  let type = types.get(oid);
  if (type?.shape.kind !== "domain") return undefined;
  while (type?.shape.kind === "domain") type = types.get(type.shape.base);
  return type?.namespace === "pg_catalog" ? type.name : undefined;
}

async function* readKeys(client: Client, select: string, table: Table): AsyncGenerator<readonly string[]> {
  const writer = new JsonWriter();
  const tuple = new Tuple();
  await client.query(`DECLARE keys NO SCROLL CURSOR FOR ${select}`);
  for (;;) {
    const { rows } = await client.query<string[]>({
      text: `FETCH ${FETCH_ROWS} FROM keys`,
      rowMode: "array",
      types: { getTypeParser: () => (text: string) => text },
    } as QueryArrayConfig);
    if (rows.length === 0) break;
    yield rows.map((row) => keyText(writer, tuple, table, row));
  }
  await client.query("CLOSE keys");
}

/** The key as `ce-subject` has it. */
function keyText(writer: JsonWriter, tuple: Tuple, table: Table, row: readonly string[]): string {
  const values = row.map((text) => Buffer.from(text));
  const frame = Buffer.concat(values);
  tuple.count = row.length;
  let at = 0;
  values.forEach((value, index) => {
    tuple.kinds[index] = TEXT; // a key's columns are never null
    tuple.from[index] = at;
    at += value.length;
    tuple.to[index] = at;
  });
  writer.reserve(table.frameBytes + 6 * frame.length);
  const start = writer.at;
  table.writeKey(writer, frame, tuple, undefined);
  return table.keyText(frame, tuple, undefined, writer.bytes, start, writer.at);
}
