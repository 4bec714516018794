// Where a copy of a table is, as its progress keeps it: behind which key, and up to which one it goes.

import type { Client } from "pg";
import type { SliceRequest } from "../../capabilities.ts";
import { type CopiedTable, selectNewest } from "./copied-table.ts";
import type { KeyTexts } from "./key-order.ts";
import { readTexts } from "./read-texts.ts";

export interface KeyPlace {
  /** It goes on behind it. */
  readonly behind: KeyTexts;
  /**
   * The largest key that the table had when its first slice was read: what came behind it since came by events. Undefined in
   * what a version wrote that knew no such end.
   */
  readonly upTo: KeyTexts | undefined;
}

/** What the progress says of a place, for `readPlace`. */
export function writePlace({ key }: CopiedTable, { behind, upTo }: KeyPlace): Readonly<Record<string, unknown>> {
  return { columns: key, values: behind, ...(upTo && { upTo }) };
}

/** Undefined from the first row on. Of a key that is another one by now nothing is known. */
export function readPlace(after: SliceRequest["after"], { key }: CopiedTable): KeyPlace | undefined {
  const { columns, values, upTo } = (after ?? {}) as Readonly<Record<string, unknown>>;
  const isSame =
    Array.isArray(columns) && columns.length === key.length && columns.every((name, nth) => name === key[nth]);
  if (!isSame || !Array.isArray(values)) return undefined;
  return { behind: values as KeyTexts, upTo: Array.isArray(upTo) ? (upTo as KeyTexts) : undefined };
}

/** The largest key of all rows, for `KeyPlace.upTo`; undefined where there are none. */
export async function newestKey(client: Client, table: CopiedTable): Promise<KeyTexts | undefined> {
  const [newest] = await readTexts(client, selectNewest(table));
  return newest as KeyTexts | undefined;
}
