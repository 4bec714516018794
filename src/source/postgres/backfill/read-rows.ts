// The rows of one slice, in pages of one snapshot: by COPY, whose rows become JSON as they come in, and each page is bounded by what
// the rows before it took.

import type { Client } from "pg";
import { PoisonError } from "../../../errors.ts";
import type { CopiedRow } from "../../../event/source-event.ts";
import type { SliceRequest } from "../../capabilities.ts";
import type { Table } from "../decode/table.ts";
import { type CopiedTable, selectBound, selectRows, unreadable } from "./copied-table.ts";
import { copyOut } from "./copy-out.ts";
import type { KeyTexts } from "./key-order.ts";
import { newestKey, readPlace } from "./key-place.ts";
import { keyReader, readKeys } from "./key-texts.ts";
import { readTexts } from "./read-texts.ts";
import type { CopiedOf, RowEncoder } from "./row-encoder.ts";

/** The first page tells how large rows are. */
const FIRST_PAGE_ROWS = 20;
const PAGE_BYTES = 2 * 1024 * 1024;
/** Of a table with a row filter a slice looks at so many times its rows at most: all of them may fail it. */
const LOOKED_AT = 2;

export interface ReadRows {
  readonly rows: readonly CopiedRow[];
  /** The key of the row with this index, in the order of `CopiedTable.key`. */
  key(index: number): KeyTexts;
  /** The largest key that slices go up to, where the table has one. */
  readonly upTo: KeyTexts | undefined;
  /** Where rows were looked at and none passes the filter: the key of the last of them; there is more behind it. */
  readonly passed?: KeyTexts | undefined;
  readonly isLast: boolean;
}

/** Where keys that are asked for cannot be. */
export const NO_ROWS: ReadRows = { rows: [], key: () => [], upTo: undefined, isLast: true };

/** What the rows are of. */
export interface RowsOf {
  readonly copied: CopiedTable;
  readonly table: Table;
  readonly encoder: RowEncoder;
  readonly of: CopiedOf;
}

/** Call it within the transaction whose snapshot they are to be of. @throws ConfigError BACKFILL_ROW_UNREADABLE, what the server says */
export async function readRows(
  client: Client,
  { copied, table, encoder, of }: RowsOf,
  { after, keys: asked, maxRows, maxBytes, signal }: SliceRequest,
): Promise<ReadRows> {
  const rows: CopiedRow[] = [];
  /** Of the rows, where an event's key does not tell them. */
  const texts: KeyTexts[] = [];
  const indexes = copied.key.map((name) => copied.columns.findIndex((column) => column.name === name));
  const wanted = asked && new Set(asked);
  const place = readPlace(after);
  const upTo = place?.upTo ?? (asked === undefined ? await newestKey(client, copied) : undefined);
  const isFiltered = copied.filter !== null && asked === undefined;
  const bound = isFiltered
    ? await boundOf(client, copied, { behind: place?.behind, upTo }, LOOKED_AT * maxRows)
    : undefined;
  const bounds = { behind: place?.behind, upTo: bound ?? upTo, keys: readKeys(copied, table, asked) };
  // Where they are the same texts, none is made of a row that no batch ends with.
  const readKey = table.plainKey ? keyReader(copied, table) : undefined;
  const key = (index: number): KeyTexts => readKey?.((rows[index] as CopiedRow).key) ?? (texts[index] as KeyTexts);
  let [bytes, read] = [0, 0];
  for (let from: KeyTexts | undefined; ; ) {
    signal.throwIfAborted();
    const page = read === 0 ? FIRST_PAGE_ROWS : Math.ceil((PAGE_BYTES * read) / Math.max(1, bytes));
    const end = Math.min(read + page, maxRows);
    const takes = (line: Buffer): void => {
      const row = encoder.encode(table, line, of);
      bytes += row.data.length;
      if (++read === end) from = encoder.texts(indexes);
      // Two keys can be equal to the database and not to us.
      if (wanted?.has(row.key) === false) return;
      rows.push(row);
      if (readKey === undefined) texts.push(encoder.texts(indexes));
    };
    await copyOut(client, selectRows(copied, { ...bounds, from, limit: end - read }), takes).catch((error: unknown) => {
      throw error instanceof PoisonError ? unreadable(copied, error) : error;
    });
    if (read < end)
      return { rows, key, upTo, passed: rows.length === 0 ? bound : undefined, isLast: bound === undefined };
    if (read >= maxRows || bytes >= maxBytes) return { rows, key, upTo, isLast: false };
  }
}

/** The key behind which a slice looks at no row; undefined where there are few enough. */
async function boundOf(
  client: Client,
  table: CopiedTable,
  from: { readonly behind: KeyTexts | undefined; readonly upTo: KeyTexts | undefined },
  most: number,
): Promise<KeyTexts | undefined> {
  const [last] = await readTexts(client, selectBound(table, from, most));
  return last as KeyTexts | undefined;
}
