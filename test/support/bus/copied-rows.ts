// Rows of a copy, made by hand.

import { EventEncoder } from "../../../src/bus/encode-event.ts";
import type { SideBatch } from "../../../src/bus/source-stream.ts";
import type { Positions } from "../../../src/event/positions.ts";
import type { CopiedRow } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";

export const ordersRead = {
  ...{ namespace: "public", collection: "orders", op: "read" },
  version: {
    schema: { id: "16384", namespace: "public", collection: "orders", identity: "key", key: ["id"], columns: [] },
    uri: "kv:millrace_schemas/shop.0123456789abcdef",
  },
} satisfies CopiedRow["kind"];

export function copiedRow(key: string): CopiedRow {
  return {
    ...{
      type: "copied",
      kind: ordersRead,
      backfill: 1,
      collectionId: "16384",
      lane: "p03",
      key,
      time: "2026-01-02T03:04:05.000006Z",
    },
    data: Buffer.from(JSON.stringify({ op: "read", key: { id: key }, before: null, after: { id: key } })),
  };
}

/** A batch of a copy, its number being its progress. */
export function copyBatch(source: SourceId, notBefore: Positions, batch: number, keys: readonly string[]): SideBatch {
  const encoder = new EventEncoder(source);
  return {
    notBefore,
    progress: { batch },
    messages: (place) => keys.map((key) => encoder.copied(copiedRow(key), place)),
  };
}
