// Slices of tables, each of one short snapshot: docs/decisions/0020 has the argument. What ties a snapshot to the log is who can
// be seen in it.

import type { Client } from "pg";
import { TransientError } from "../../../errors.ts";
import { positionsAt } from "../../../event/positions.ts";
import type { CollectionVersion } from "../../../event/source-event.ts";
import type { CopyTarget, RowCopier, Slice, SliceRequest } from "../../capabilities.ts";
import type { SourceMessage } from "../../source.ts";
import { describeTable, domainBase } from "../client/catalog.ts";
import { endClient } from "../client/dial.ts";
import { sqlState } from "../client/errors.ts";
import { LOG_END, parseLsn } from "../client/lsn.ts";
import { boundaryBefore } from "../client/position.ts";
import { connectForRows } from "../client/rows-connection.ts";
import { quoteTable } from "../client/sql.ts";
import { isOutboxTable } from "../decode/outbox-table.ts";
import { type Relation, Table } from "../decode/table.ts";
import { toldTables } from "../facts/told-tables.ts";
import { visibleIn } from "../reselect/snapshot-visibility.ts";
import { type CopiedTable, copiedTable, isKeyless, refuseUnfit } from "./copied-table.ts";
import type { CopierOptions } from "./copier-options.ts";
import { copyError } from "./copy-errors.ts";
import { estimateRows } from "./estimate-rows.ts";
import { HandedTransactions } from "./handed-transactions.ts";
import { isVoid, writePlace } from "./key-place.ts";
import { keyReader } from "./key-texts.ts";
import { KeylessCopy } from "./keyless-copy.ts";
import { NO_ROWS, readRows } from "./read-rows.ts";
import { RowEncoder } from "./row-encoder.ts";
import { inDoubt, nextId } from "./transactions.ts";

/** Whoever wants to change the table must not wait behind us for longer, and we not for long behind him. */
const LOCK_MS = 2000;
/** Of one page of a slice. */
const STATEMENT_MS = 60_000;

const targets = `
  SELECT c.oid::int8::text AS id, n.nspname AS namespace, c.relname AS collection
  FROM ${toldTables}
  WHERE p.pubname = $1 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

/** Of a key that is another one by now nothing is known. */
const VOID = {
  ...{ rows: [], after: () => ({}), isLast: false, isVoid: true, version: undefined, notBefore: new Map() },
  ...{ includes: () => true, isUnflushed: false },
};

/** A table's rows are compiled once for each version of it. */
interface Compiled {
  readonly key: string;
  readonly table: Table;
  readonly version: CollectionVersion;
}

export class PostgresCopier implements RowCopier, AsyncDisposable {
  readonly readsAhead = true;
  readonly #options: CopierOptions;
  readonly #handed = new HandedTransactions();
  readonly #encoder = new RowEncoder();
  readonly #keyless: KeylessCopy;
  /** Ids of tables that were published when it was looked last, and when the base of what was handed out was taken, for which copy. */
  #published: ReadonlySet<string> = new Set();
  #based: ReadonlySet<string> = new Set();
  #basedFor: number | undefined;
  #client: Client | undefined;
  /** Of a slice: fewer where a statement took too long for its rows, and more again where it did not. */
  #maxRows = Number.POSITIVE_INFINITY;
  #compiled: Compiled | undefined;

  /** Absent where the configuration wants no table to be copied once. */
  readonly initial?: NonNullable<RowCopier["initial"]>;

  constructor(options: CopierOptions) {
    this.#options = options;
    const { source, log } = options;
    this.#keyless = new KeylessCopy({ source, log, encoder: this.#encoder, connect: () => this.#connect() });
    if (!options.copies) return;
    this.initial = async () => ({
      origin: options.database(),
      targets: (await this.targets()).filter((one) => options.rules.of(one.namespace, one.collection)?.copied),
    });
  }

  /** Called with all that the source hands out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    this.#handed.handedOut(messages);
  }

  async targets(): Promise<readonly CopyTarget[]> {
    const { session, rules, outbox, publication } = this.#options;
    const found = await session.query<CopyTarget>(targets, [publication()]);
    this.#published = new Set(found.map(({ id }) => id));
    return found.filter(
      ({ namespace, collection }) =>
        rules.of(namespace, collection) !== undefined &&
        !isOutboxTable(outbox, { schema: namespace, name: collection }),
    );
  }

  async estimate({ id }: CopyTarget): Promise<number | undefined> {
    return estimateRows(this.#options.session, id);
  }

  async readSlice(asked: SliceRequest): Promise<Slice> {
    const request = { ...asked, maxRows: Math.min(asked.maxRows, this.#maxRows) };
    const client = await this.#connected();
    try {
      // What is not in the log of a table, as it was not published, or its row filter was another one, may be of transactions
      // that are still open: a copy that is ordered for that must not begin before they have ended.
      const isNew = request.backfill !== this.#basedFor || !this.#based.has(request.target.id);
      await this.#handed.begin(() => nextId(client), isNew);
      if (isNew) [this.#based, this.#basedFor] = [this.#published, request.backfill];
      // From here on whoever asked takes note by himself.
      const marked = this.#handed.mark();
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const slice = await this.#read(client, request, marked);
      await client.query("COMMIT");
      // What nobody flushes would not be read before the next commit: this one is flushed by the server's own writer.
      if (slice.isUnflushed) await nextId(client);
      this.#maxRows *= 2;
      return slice;
    } catch (error) {
      this.#client = undefined;
      await endClient(client);
      if (sqlState(error) === "57014") this.#maxRows = Math.max(1, Math.floor(request.maxRows / 4));
      throw copyError(error, request.target, client.user ?? "");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest();
  }

  async rest(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await this.#keyless.rest();
    if (client !== undefined) await endClient(client);
  }

  async #read(
    client: Client,
    request: SliceRequest,
    marked: ReadonlySet<string>,
  ): Promise<Slice & { isUnflushed: boolean }> {
    const { target, backfill } = request;
    const publication = this.#options.publication();
    // Before the snapshot: what empties a table, or writes it anew, is not for snapshots.
    const place = { schema: target.namespace, name: target.collection };
    await client.query(`LOCK TABLE ${quoteTable(place)} IN ACCESS SHARE MODE`);
    const [table] = (
      await client.query<CopiedTable>(copiedTable(this.#options.version), [publication, place.schema, place.name])
    ).rows;
    const [seen] = (
      await client.query<{ snapshot: string; time: string }>(
        `SELECT pg_current_snapshot()::text AS snapshot,
           to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time`,
      )
    ).rows;
    if (seen === undefined) throw new Error("a snapshot has no row");
    if (table === undefined || table.oid !== target.id)
      throw new TransientError(
        "BACKFILL_TABLE_GONE",
        `${quoteTable(place)} is another table than before, or not published`,
        {
          hint: "Nothing to do: the tables are looked for again.",
        },
      );
    refuseUnfit(table);
    if (isVoid(request.after, table)) return VOID;
    if (isKeyless(table)) return this.#keylessSlice(client, table, request, marked);
    await this.#keyless.rest();
    this.#judge(seen.snapshot, marked);
    const { table: compiled, version } = await this.#compile(table);
    const readKey = keyReader(table, compiled);
    const of = { backfill, collectionId: target.id, time: seen.time };
    const { rows, key, upTo, passed, isLast } =
      request.keys !== undefined && readKey === undefined
        ? NO_ROWS
        : await readRows(client, { copied: table, table: compiled, encoder: this.#encoder, of }, request);
    const [end] = (
      await client.query<{ end: string; unflushed: boolean }>(
        `SELECT ${LOG_END}::text AS end, NOT pg_is_in_recovery() AND pg_current_wal_flush_lsn() < ${LOG_END} AS unflushed`,
      )
    ).rows;
    const includes = visibleIn(seen.snapshot);
    return {
      rows,
      after: (index) => writePlace(table, { behind: key(index), upTo }),
      passed: passed && writePlace(table, { behind: passed, upTo }),
      isLast,
      version,
      readsKeys: readKey !== undefined,
      notBefore: positionsAt({ position: boundaryBefore(this.#options.history(), parseLsn(end?.end ?? "0/0")) }),
      includes: ({ transaction }) => includes(transaction),
      isUnflushed: end?.unflushed === true,
    };
  }

  async #keylessSlice(
    client: Client,
    copied: CopiedTable,
    request: SliceRequest,
    marked: ReadonlySet<string>,
  ): Promise<Slice & { isUnflushed: boolean }> {
    const { table, version } = await this.#compile(copied);
    const judge = (snapshot: string): void => this.#judge(snapshot, marked);
    const { end, ...slice } = await this.#keyless.read({ copied, table, client }, request, judge);
    const includes = visibleIn(slice.asOf.snapshot);
    return {
      ...slice,
      version,
      notBefore: positionsAt({ position: boundaryBefore(this.#options.history(), parseLsn(end)) }),
      includes: ({ transaction }) => includes(transaction),
      isUnflushed: slice.rows.length === 0,
    };
  }

  #judge(snapshot: string, marked: ReadonlySet<string>): void {
    const doubt = this.#handed.doubt(snapshot, marked);
    if (doubt !== undefined) throw inDoubt(doubt);
  }

  /** While its lock is held, so it stays what it is. */
  async #compile(copied: CopiedTable): Promise<Compiled> {
    const { session, rules, describe } = this.#options;
    const { namespace, name, identity } = copied;
    const oid = Number(copied.oid);
    const types = await describeTable(session, oid, copied.columns);
    const columns = copied.columns.map((column) => ({
      ...{ name: column.name, identity: column.identity, type: column.type, typmod: column.typmod },
      typeName: domainBase(types, column.type),
    }));
    const relation: Relation = { oid, namespace, name, identity, columns };
    const { description, version } = await describe(relation);
    const key = JSON.stringify([version.schema, rules.revision(oid), [...description.types]]);
    if (this.#compiled?.key === key) return this.#compiled;
    const bound = rules.for(relation, description.columns);
    this.#compiled = { key, version, table: new Table(relation, description, bound, version) };
    return this.#compiled;
  }

  async #connected(): Promise<Client> {
    this.#client ??= await this.#connect();
    return this.#client;
  }

  #connect(): Promise<Client> {
    const settings = "SET synchronous_commit = local; SET default_transaction_read_only = off";
    return connectForRows(this.#options.client, { lockMs: LOCK_MS, statementMs: STATEMENT_MS, settings });
  }
}
