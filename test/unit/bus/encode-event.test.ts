// What a message says of an event's transaction, and of an event that has none.

import { expect, test } from "vitest";
import { EventEncoder } from "../../../src/bus/encode-event.ts";
import type { Position } from "../../../src/event/position.ts";
import type { Change } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";

const kind = { namespace: "shop", collection: "orders", op: "created", version: undefined } as const;
const time = "2026-01-02T03:04:05.000006Z";

function headOf(id: string | undefined, position: string): string {
  const change: Change = {
    ...{ type: "change", kind, lane: "p00", key: "1", data: Buffer.from("{}") },
    ...{ transaction: { id, time, lineage: undefined }, position: position as Position },
  };
  return new EventEncoder("shop" as SourceId).encode(change).head;
}

test("the last event of a transaction says so, the others name it alone", () => {
  expect(headOf("7", "0001.1+")).toContain("Cdc-Tx: 7\r\nCdc-Tx-Last: 1\r\n");
  expect(headOf("7", "0001.1")).toContain("Cdc-Tx: 7\r\n");
  expect(headOf("7", "0001.1")).not.toContain("Cdc-Tx-Last");
});

test("an event outside of all transactions is complete, and the last of none", () => {
  expect(headOf(undefined, "0001.1+")).not.toContain("Cdc-Tx");
});
