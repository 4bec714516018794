// Transactions that are in the log before they can be seen.

import { expect, test } from "vitest";
import type { Position } from "../../../../../src/event/position.ts";
import { HandedTransactions } from "../../../../../src/source/postgres/backfill/handed-transactions.ts";
import type { SourceMessage } from "../../../../../src/source/source.ts";
import { ordersRead } from "../../../../support/bus/copied-rows.ts";

const change = (id: string): SourceMessage => ({
  ...{ type: "change", kind: ordersRead, key: id, lane: "p00", data: Buffer.of(), position: "0001+" as Position },
  transaction: { id, time: "", lineage: undefined },
});

async function noting(base: bigint, maxIds?: number): Promise<HandedTransactions> {
  const handed = new HandedTransactions(maxIds);
  await handed.begin(async () => base);
  return handed;
}

test("a snapshot is in doubt while a transaction that was handed out before cannot be seen, listed or not", async () => {
  const handed = await noting(100n);
  handed.handedOut([change("105"), change("106")]);
  const marked = handed.mark();

  expect(handed.doubt("105:107:105", marked)).toBe("handed out");
  // The newest one that has ended is 104: what is behind it is listed by no snapshot.
  expect(handed.doubt("105:105:", marked)).toBe("handed out");
  expect(handed.doubt("107:107:", marked)).toBeUndefined();
});

test("one that was handed out behind the mark is for the caller to know", async () => {
  const handed = await noting(100n);
  const marked = handed.mark();
  handed.handedOut([change("105")]);

  expect(handed.doubt("105:106:105", marked)).toBeUndefined();
  expect(handed.doubt("105:106:105", handed.mark())).toBe("handed out");
});

test("one in progress that is older than the first note may have been handed out: the snapshot is in doubt until it ends", async () => {
  const handed = await noting(100n);

  expect(handed.doubt("90:101:90", handed.mark())).toBe("older");
  expect(handed.doubt("101:101:", handed.mark())).toBeUndefined();
  expect(handed.doubt("101:110:101,104", handed.mark())).toBeUndefined();
});

test("beyond its bound it forgets, and begins anew behind another base", async () => {
  const handed = await noting(100n, 2);
  handed.handedOut(["201", "202", "203"].map(change));
  expect(handed.doubt("300:300:", handed.mark())).toBe("older");

  await handed.begin(async () => 299n);
  expect(handed.doubt("300:300:", handed.mark())).toBeUndefined();
});
