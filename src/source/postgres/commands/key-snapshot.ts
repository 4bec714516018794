// The keys of the tables as they are at one moment, written as events write them: what `verify --tables` compares with.

import type { Client, QueryArrayConfig } from "pg";
import { ConfigError, TransientError } from "../../../errors.ts";
import { isComplete } from "../../../event/position.ts";
import { onlyPosition } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { HeldKey, KeySnapshot, SnapshotOptions, TableKeys } from "../../capabilities.ts";
import { JsonWriter } from "../../json-writer.ts";
import { describeTable, domainBase } from "../client/catalog.ts";
import { endClient } from "../client/dial.ts";
import { translateError } from "../client/errors.ts";
import { parseLsn } from "../client/lsn.ts";
import { finalOf, historyOf, historyPrefix } from "../client/position.ts";
import { connectForRows } from "../client/rows-connection.ts";
import { clientConfig, Session } from "../client/session.ts";
import { grantSelect, quoteIdentifier, quoteTable } from "../client/sql.ts";
import { isOutboxTable } from "../decode/outbox-table.ts";
import { Table } from "../decode/table.ts";
import { Tuple } from "../decode/tuple.ts";
import { namesOf } from "../facts/names.ts";
import { readSlots } from "../facts/slots.ts";
import { toldFilter, toldTables } from "../facts/told-tables.ts";
import type { PostgresConfig } from "../options/config.ts";
import { NO_RULES, type TableRules } from "../options/table-rules.ts";
import { beganAfter, visibleIn } from "../reselect/snapshot-visibility.ts";
import { slotMissing } from "../slot/provide-slot.ts";

const FETCH_ROWS = 5000;
/** One statement reads so many keys, however many rows lie between them that a row filter keeps back. */
const READING = { lockMs: 60_000, statementMs: 600_000 };
const POLL_MS = 500;
/** A worker that starts again has its slot back by then. */
const UNREAD_MS = 15_000;
const TEXT = 0x74;

/**
 * The columns of the key that events of a table carry: the identity index', under full identity the primary key's. A row filter (from
 * version 15 on) may read more than that.
 */
const keyColumns = (version: number): string => `
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned, a.attname AS column,
    a.atttypid::int8::text AS type, a.atttypmod AS typmod, ${toldFilter(version)} AS filter,
    has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN to_jsonb(r)->>'prqual' IS NULL
      THEN has_column_privilege(c.oid, a.attnum, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END AS readable,
    row_security_active(c.oid) AS "rowSecurity", quote_ident(current_user) AS role
  FROM ${toldTables}
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid
    AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident WHEN c.relreplident IN ('d', 'f') THEN i.indisprimary END
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
  WHERE p.pubname = $1
  ORDER BY n.nspname, c.relname, a.attnum`;

/** Gaps that take rows which were written at any time, or by transactions that are counted otherwise. */
const UNDATED: ReadonlySet<string> = new Set([
  ...["PARTITION_ATTACHED", "ROW_FILTER_CHANGED", "TABLE_RENAMED"],
  ...["SOURCE_OTHER_CLUSTER", "SOURCE_TIMELINE", "SOURCE_REWOUND"],
]);

interface KeyColumn {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  /** Null for a table without a key. */
  readonly column: string | null;
  readonly type: string;
  readonly typmod: number;
  /** In SQL; null without. */
  readonly filter: string | null;
  readonly readable: boolean | null;
  readonly rowSecurity: boolean;
  /** Quoted where it must be. */
  readonly role: string;
}

/**
 * Takes a snapshot of the database and gives the keys of the tables that the source reads, as it has them: rows that the publication
 * keeps back have no events, and neither have tables that are published and not read, nor those of an outbox.
 * @throws ConfigError PERMISSION_MISSING where the role may not read a table; HistoryLostError SLOT_MISSING; TransientError
 * VERIFY_BEHIND, and what `stored` throws
 */
export async function openKeySnapshot(
  id: SourceId,
  config: PostgresConfig,
  wait: SnapshotOptions,
): Promise<KeySnapshot> {
  const options = clientConfig(id, config.url);
  const client = await connectForRows(options, READING);
  try {
    // Before the snapshot: what the stream has of a life of the log before this one was committed by then.
    const past = onlyPosition(await wait.stored());
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const [taken] = (
      await client.query<{ snapshot: string; end: string; version: number }>(
        `SELECT pg_current_snapshot()::text AS snapshot, pg_current_wal_insert_lsn()::text AS end,
           current_setting('server_version_num')::int AS version`,
      )
    ).rows;
    if (taken === undefined) throw new Error("a snapshot has no row");
    const published = (await client.query<KeyColumn>(keyColumns(taken.version), [namesOf(id, config).publication]))
      .rows;
    const columns = published.filter(
      (table) => config.rulesOf(table.schema, table.name) !== undefined && !isOutboxTable(config.outbox, table),
    );
    refuseUnreadable(columns);
    await using session = new Session(options);
    await reached(session, namesOf(id, config).slot, taken.end, wait);
    const visible = visibleIn(taken.snapshot);
    const life = past === undefined ? "" : historyPrefix(historyOf(past));
    const rulesOf = ({ schema, name }: KeyColumn): TableRules => config.rulesOf(schema, name) ?? NO_RULES;
    return {
      // Another cluster counts its transactions otherwise.
      includes: ({ position, transaction }) => (position !== "" && position < life) || visible(transaction),
      isAfter: beganAfter,
      isDated: ({ code }) => !UNDATED.has(String(code)),
      tables: await Promise.all(
        tablesOf(columns).map((table) => tableKeys(client, session, table, rulesOf(table[0] as KeyColumn))),
      ),
      [Symbol.asyncDispose]: () => endClient(client),
    };
  } catch (error) {
    await endClient(client);
    wait.signal.throwIfAborted();
    throw translateError(error);
  }
}

/** Before anything is waited for. Policies would hide rows, which then looked as if they were gone. */
function refuseUnreadable(columns: readonly KeyColumn[]): void {
  const refused = columns.find(
    ({ column, readable, rowSecurity }) => column !== null && (readable === false || rowSecurity),
  );
  if (refused === undefined) return;
  const { rowSecurity, readable, role } = refused;
  const table = quoteTable(refused);
  const why = readable === false ? "has no right to SELECT its key" : "sees only rows that its policies let through";
  throw new ConfigError("PERMISSION_MISSING", `the role ${role} cannot read ${table} whole: it ${why}`, {
    hint:
      readable === false || !rowSecurity
        ? `Let its owner run: ${grantSelect(refused, role).join(" ")}`
        : `Run this command with a url of the table's owner, or of a role that has BYPASSRLS (ALTER ROLE ${role} BYPASSRLS;).`,
  });
}

/** Waits until the stream holds all that the snapshot shows: that is stored; it need not be synced and acknowledged. */
async function reached(
  session: Session,
  slot: string,
  end: string,
  { stored, reachWithinMs, onWaiting, signal }: SnapshotOptions,
): Promise<void> {
  const since = performance.now();
  let readMs = since;
  for (;;) {
    signal.throwIfAborted();
    const [found] = await readSlots(session, slot);
    if (found === undefined) throw slotMissing(slot);
    // Acknowledged up to there: then the stream holds it durably.
    if (found.confirmed !== null && parseLsn(found.confirmed) >= parseLsn(end)) return;
    const now = performance.now();
    if (found.active) {
      readMs = now;
      const position = onlyPosition(await stored());
      if (position !== undefined && isComplete(position) && finalOf(position) + 1n >= parseLsn(end)) return;
    }
    if (now - readMs > UNREAD_MS) throw behind(slot, end, "and no worker reads it");
    if (now - since > reachWithinMs) throw behind(slot, end, "though a worker reads it");
    onWaiting(now - since);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function behind(slot: string, end: string, why: string): TransientError {
  return new TransientError("VERIFY_BEHIND", `the stream has not reached ${end} of the log of ${slot}, ${why}`, {
    hint: "Both can be compared only when the stream holds what the tables hold: see with `millrace status` that the worker runs and is not far behind, and run it again.",
  });
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
  client: Client,
  session: Session,
  columns: readonly KeyColumn[],
  rules: TableRules,
): Promise<TableKeys> {
  const { oid, schema, name, partitioned, filter } = columns[0] as KeyColumn;
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
  const table = new Table(
    { oid: Number(oid), namespace: schema, name, identity: "d", columns: key },
    description,
    rules,
  );
  const selected = ["xmin", ...key.map((column) => quoteIdentifier(column.name))].join(", ");
  // What only inherits from it is a table of its own to the log.
  const passing = filter === null ? "" : ` WHERE (${filter})`;
  const select = `SELECT ${selected} FROM ${partitioned ? "" : "ONLY "}${quoteTable({ schema, name })}${passing}`;
  return { namespace: schema, collection: name, keys: () => readKeys(client, select, table) };
}

async function* readKeys(client: Client, select: string, table: Table): AsyncGenerator<readonly HeldKey[]> {
  const writer = new JsonWriter();
  const tuple = new Tuple();
  try {
    await client.query(`DECLARE keys NO SCROLL CURSOR FOR ${select}`);
    for (;;) {
      const { rows } = await client.query<[string, ...string[]]>({
        text: `FETCH ${FETCH_ROWS} FROM keys`,
        rowMode: "array",
        types: { getTypeParser: () => (text: string) => text },
      } as QueryArrayConfig);
      if (rows.length === 0) break;
      yield rows.map(([writtenBy, ...key]) => ({ key: keyText(writer, tuple, table, key), writtenBy }));
    }
    await client.query("CLOSE keys");
  } catch (error) {
    throw translateError(error);
  }
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
