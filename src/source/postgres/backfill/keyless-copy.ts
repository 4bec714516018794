// Rows of a table without a key: of one snapshot that is held until all of them are read, in the order in which they lie in the table.
// docs/decisions/0020 has the argument. A savepoint a slice: behind it the table is locked no more, and the snapshot is the same.

import type { Client } from "pg";
import { ConfigError, PoisonError } from "../../../errors.ts";
import { formatCollectionName } from "../../../event/collection-name.ts";
import type { CopiedRow } from "../../../event/source-event.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { duration } from "../../../telemetry/quantities.ts";
import type { CopyTarget, Slice, SliceRequest } from "../../capabilities.ts";
import { endClient } from "../client/dial.ts";
import { LOG_END } from "../client/lsn.ts";
import { quoteIdentifier, quoteLiteral } from "../client/sql.ts";
import type { Table } from "../decode/table.ts";
import { type CopiedTable, fromClause, unreadable } from "./copied-table.ts";
import { copyOut } from "./copy-out.ts";
import type { RowEncoder } from "./row-encoder.ts";

/** VACUUM takes nothing away meanwhile that was there when the snapshot was taken, in the whole database. */
const MAX_HELD_MS = 3600_000;
const FIRST_PAGE_ROWS = 20;
const PAGE_BYTES = 2 * 1024 * 1024;
/** A slice looks at so many blocks for each of its rows at most: a row filter may let none pass, and blocks may be empty. */
const LOOKED_AT = 2;
/** Only scans that follow the table from one place on are left. */
const IN_ORDER = `SAVEPOINT slice; SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off;
  SET LOCAL enable_bitmapscan = off; SET LOCAL enable_tidscan = on; SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0`;
const TAB = 0x09;

export interface KeylessOptions {
  readonly source: SourceId;
  /** A connection that prints texts as events have them. @throws ConfigError, TransientError */
  readonly connect: () => Promise<Client>;
  readonly encoder: RowEncoder;
  readonly log: Logger;
  readonly maxHeldMs?: number | undefined;
}

/** What a slice needs of the table, as it is now: it is locked meanwhile. */
export interface KeylessTable {
  readonly copied: CopiedTable;
  readonly table: Table;
  /** By another connection than the one that locks it. */
  readonly client: Client;
}

export type KeylessSlice = Pick<Slice, "rows" | "after" | "passed" | "isLast"> & {
  readonly asOf: NonNullable<Slice["asOf"]>;
  /** LSN that all that the snapshot shows is before. */
  readonly end: string;
};

interface Held {
  readonly client: Client;
  readonly asOf: NonNullable<Slice["asOf"]>;
  readonly end: string;
  /** What it is good for: another table, or one that is written anew, lies in another order. */
  readonly of: string;
  /** Of the table when the snapshot was taken: none of its rows is behind them. */
  readonly blocks: number;
  readonly timer: NodeJS.Timeout;
}

/** As the progress keeps it: all up to and with row version `ctid` is passed; before the first one undefined. */
interface RowPlace {
  readonly asOf: string;
  readonly ctid?: string;
}

export class KeylessCopy {
  readonly #options: KeylessOptions;
  #held: Held | undefined;
  /** The snapshot that was given back for it was held too long. */
  #spent: string | undefined;

  constructor(options: KeylessOptions) {
    this.#options = options;
  }

  /**
   * The next rows of the snapshot that `after` tells of. Where that is gone: no rows, and that the table begins again as of another.
   * @param judge throws where a snapshot may lack what was handed out
   * @throws ConfigError BACKFILL_SNAPSHOT_AGE where it was held too long, until `rest` is called
   */
  async read(now: KeylessTable, request: SliceRequest, judge: (snapshot: string) => void): Promise<KeylessSlice> {
    const place = placeOf(request.after);
    const of = await lifeOf(now, request);
    const held = this.#held;
    if (held !== undefined && held.of === of && held.asOf.snapshot === place?.asOf)
      return this.#rows(held, now, request, place);
    if (place !== undefined && place.asOf === this.#spent) throw this.#tooOld(request.target);
    await this.#release();
    const { asOf, end } = await this.#begin(of, now.client, request.target, judge);
    return { rows: [], after: () => ({}), passed: { asOf: asOf.snapshot }, isLast: false, asOf, end };
  }

  /** Gives the snapshot back. The table begins again. */
  async rest(): Promise<void> {
    this.#spent = undefined;
    await this.#release();
  }

  async #release(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    clearTimeout(held.timer);
    await endClient(held.client);
  }

  /** @param locking whose transaction has the table locked */
  async #begin(of: string, locking: Client, target: CopyTarget, judge: (snapshot: string) => void): Promise<Held> {
    const { source, connect, log, maxHeldMs = MAX_HELD_MS } = this.#options;
    const client = await connect();
    try {
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const { rows } = await client.query<{ snapshot: string; time: string; end: string }>(
        `SELECT pg_current_snapshot()::text AS snapshot, ${LOG_END}::text AS end,
           to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time`,
      );
      const [taken] = rows;
      if (taken === undefined) throw new Error("a snapshot has no row");
      const { end, ...asOf } = taken;
      judge(asOf.snapshot);
      const blocks = await blocksOf(locking, target);
      const timer = setTimeout(() => {
        this.#spent = asOf.snapshot;
        void this.#release();
      }, maxHeldMs).unref();
      this.#held = { client, asOf, end, of, blocks, timer };
      const collection = formatCollectionName(target);
      log.warn("backfill_snapshot", { source, collection, maxHeldMs }, `${collection} has no key: ${HOLDS}`);
      return this.#held;
    } catch (error) {
      await endClient(client);
      throw error;
    }
  }

  async #rows(held: Held, now: KeylessTable, request: SliceRequest, place: RowPlace): Promise<KeylessSlice> {
    const { client, asOf, end } = held;
    try {
      await client.query(IN_ORDER);
      const { rows, ctids, passed, isLast } = await this.#read(held, now, request, place);
      await client.query("ROLLBACK TO SAVEPOINT slice");
      const at = (ctid: string): Readonly<Record<string, unknown>> =>
        ({ asOf: asOf.snapshot, ctid }) satisfies RowPlace;
      const last = rows.length - 1;
      return {
        rows,
        after: (index) => at((index === last ? passed : undefined) ?? (ctids[index] as string)),
        passed: passed === undefined ? undefined : at(passed),
        ...{ isLast, asOf, end },
      };
    } catch (error) {
      // One that only had to wait for a lock has it still.
      await client.query("ROLLBACK TO SAVEPOINT slice").catch(() => this.#release());
      throw error;
    }
  }

  /** With the place behind all that was looked at, where rows may be behind it. */
  async #read(
    { client, asOf, blocks }: Held,
    { copied, table }: KeylessTable,
    { backfill, target, maxRows, maxBytes, signal }: SliceRequest,
    { ctid }: RowPlace,
  ): Promise<{
    readonly rows: readonly CopiedRow[];
    readonly ctids: readonly string[];
    readonly passed?: string;
    readonly isLast: boolean;
  }> {
    const { columns, filter } = copied;
    const selected = ["ctid", ...columns.map(({ name }) => quoteIdentifier(name))].join(", ");
    const only = filter === null ? "" : ` AND (${filter})`;
    const rows: CopiedRow[] = [];
    const ctids: string[] = [];
    const end = Math.min(blocks, blockOf(ctid) + LOOKED_AT * maxRows);
    // No row version has the number 0: it is before all of its block.
    const passed = `(${end},0)`;
    let bytes = 0;
    const of = { backfill, collectionId: target.id, time: asOf.time };
    const takes = (line: Buffer): void => {
      const tab = line.indexOf(TAB);
      const place = line.toString("latin1", 0, tab);
      const row = this.#options.encoder.encode(table, line.subarray(tab + 1), of);
      // Of each snapshot, and of each row of it, other ids.
      rows.push({ ...row, key: `${asOf.snapshot}/${place}`, unkeyed: true });
      ctids.push(place);
      bytes += row.data.length;
    };
    for (;;) {
      signal.throwIfAborted();
      const read = rows.length;
      const page = read === 0 ? FIRST_PAGE_ROWS : Math.ceil((PAGE_BYTES * read) / Math.max(1, bytes));
      const limit = Math.min(page, maxRows - read);
      const from = quoteLiteral(ctids.at(-1) ?? ctid ?? "(0,0)");
      const within = `ctid > ${from}::tid AND ctid < ${quoteLiteral(passed)}::tid${only}`;
      const select = `SELECT ${selected} FROM ${fromClause(copied)} WHERE ${within} LIMIT ${limit}`;
      await copyOut(client, select, takes).catch((error: unknown) => {
        throw error instanceof PoisonError ? unreadable(copied, error) : error;
      });
      if (rows.length < read + limit) return { rows, ctids, ...(end < blocks && { passed }), isLast: end === blocks };
      if (rows.length >= maxRows || bytes >= maxBytes) return { rows, ctids, isLast: false };
    }
  }

  #tooOld(target: CopyTarget): ConfigError {
    const { maxHeldMs = MAX_HELD_MS } = this.#options;
    const name = formatCollectionName(target);
    return new ConfigError(
      "BACKFILL_SNAPSHOT_AGE",
      `${name} has no key, and could not be read within the ${duration(maxHeldMs / 1000)} for which one snapshot may be held`,
      {
        hint: `Give it a primary key, or pause the copy and resume it with a higher --rate (the table begins again), or go on without it: millrace backfill resume <source> --without ${name}`,
      },
    );
  }
}

const HOLDS =
  "one snapshot is held until all of it is read, and VACUUM takes nothing away for that long; a pause or a restart begins the table again";

/** Of all that would make the order of its rows another one, or their columns. */
async function lifeOf({ client, copied }: KeylessTable, { target, backfill }: SliceRequest): Promise<string> {
  const { rows } = await client.query<{ node: string | null }>(
    "SELECT pg_relation_filenode($1::int8::oid)::int8::text AS node",
    [target.id],
  );
  return JSON.stringify([backfill, rows[0]?.node, copied]);
}

/** As many as its file has by now. */
async function blocksOf(client: Client, { id }: CopyTarget): Promise<number> {
  const { rows } = await client.query<{ blocks: number }>(
    "SELECT (pg_relation_size($1::int8::oid) / current_setting('block_size')::int8)::float8 AS blocks",
    [id],
  );
  return rows[0]?.blocks ?? 0;
}

/** The number of the block that a row version lies in. */
function blockOf(ctid = "(0,0)"): number {
  return Number(/^\((\d+),/.exec(ctid)?.[1] ?? 0);
}

function placeOf(after: SliceRequest["after"]): RowPlace | undefined {
  const { asOf, ctid } = (after ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof asOf !== "string") return undefined;
  return { asOf, ...(typeof ctid === "string" && { ctid }) };
}
