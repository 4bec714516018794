// Items at rest -> rows as events have them: the same key, lane and JSON.

import { ConfigError, PoisonError } from "../../../errors.ts";
import type { CopiedRow } from "../../../event/source-event.ts";
import { keyOf } from "../decode/key.ts";
import { NAMESPACE } from "../decode/record-decoder.ts";
import { type Item, ownAttribute } from "../values/attribute.ts";
import { type Encoding, itemJson } from "../values/attribute-json.ts";

export interface ItemEncoderOptions {
  readonly table: string;
  /** Of the collection, in the rows' ids. */
  readonly id: string;
  /** In the order of the key schema. */
  readonly keyNames: readonly string[];
  readonly encoding: Encoding;
  /** The number of the copy. */
  readonly backfill: number;
}

/** A row, and the key behind which its segment goes on. */
export interface EncodedItem {
  readonly row: CopiedRow;
  readonly key: Item;
}

export class ItemEncoder {
  readonly #options: ItemEncoderOptions;
  readonly #kind: CopiedRow["kind"];

  constructor(options: ItemEncoderOptions) {
    const { table } = options;
    this.#options = options;
    this.#kind = { namespace: NAMESPACE, collection: table, op: "read", version: undefined };
  }

  /** @param time RFC 3339 @throws ConfigError BACKFILL_ROW_UNREADABLE */
  encode(item: Item, time: string): EncodedItem {
    const { table, id: collectionId, keyNames, encoding, backfill } = this.#options;
    try {
      const { json, lane, subject } = keyOf(item, keyNames, encoding);
      const data = Buffer.from(`{"op":"read","key":${json},"before":null,"after":${itemJson(item, encoding)}}`);
      const key = Object.fromEntries(keyNames.map((name) => [name, ownAttribute(item, name)])) as Item;
      return { row: { type: "copied", kind: this.#kind, backfill, collectionId, lane, key: subject, time, data }, key };
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      throw new ConfigError("BACKFILL_ROW_UNREADABLE", `an item of ${table} cannot be copied: ${error.message}`, {
        hint: "Mend the item, or go on without the table: millrace backfill resume <source> --without <table>",
        cause: error,
      });
    }
  }
}
