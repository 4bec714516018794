// Where a copy of a table is, as its progress keeps it: behind which key, and up to which one it goes.

import type { Client } from "pg";
import type { SliceRequest } from "../../capabilities.ts";
import { type CopiedTable, isKeyless, selectNewest } from "./copied-table.ts";
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
export function writePlace({ key, order }: CopiedTable, { behind, upTo }: KeyPlace): Readonly<Record<string, unknown>> {
  return { columns: key, order, values: behind, ...(upTo && { upTo }) };
}

/** Undefined from the first row on. */
export function readPlace(after: SliceRequest["after"]): KeyPlace | undefined {
  const { values, upTo } = (after ?? {}) as Readonly<Record<string, unknown>>;
  if (!Array.isArray(values)) return undefined;
  return { behind: values as KeyTexts, upTo: Array.isArray(upTo) ? (upTo as KeyTexts) : undefined };
}

/**
 * Whether a place says nothing of the table any more: it has another key by now, or the same one in another order, or it had none.
 * Which rows were copied nobody knows then.
 */
export function isVoid(after: SliceRequest["after"], table: CopiedTable): boolean {
  if (after === undefined) return false;
  const { columns, order } = after as Readonly<Record<string, unknown>>;
  if (isKeyless(table) || !Array.isArray(columns)) return isKeyless(table) === Array.isArray(columns);
  const { key } = table;
  const isSame = columns.length === key.length && columns.every((name, nth) => name === key[nth]);
  // A version that knew no order has written none.
  return !isSame || (order ?? table.order) !== table.order;
}

/** The largest key of all rows, for `KeyPlace.upTo`; undefined where there are none. */
export async function newestKey(client: Client, table: CopiedTable): Promise<KeyTexts | undefined> {
  const [newest] = await readTexts(client, selectNewest(table));
  return newest as KeyTexts | undefined;
}
