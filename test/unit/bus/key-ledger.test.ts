// A stream with copied rows, held against what the tables hold.

import { expect, test } from "vitest";
import type { AuditFinding } from "../../../src/bus/jetstream/verify/audit-finding.ts";
import { type HeldKeys, KeyLedger, type TableReport } from "../../../src/bus/jetstream/verify/key-ledger.ts";

/** Transactions up to 100 are shown. */
function ledger(...rows: readonly string[]): { readonly of: KeyLedger; end(): Promise<readonly unknown[]> } {
  const keys = async function* (): AsyncGenerator<readonly { readonly key: string; readonly writtenBy: string }[]> {
    yield rows.map((key) => ({ key, writtenBy: "50" }));
  };
  const held: HeldKeys = {
    includes: ({ transaction }) => Number(transaction) <= 100,
    isAfter: (one, other) => Number(one) > Number(other),
    isDated: ({ code }) => code !== "SOURCE_OTHER_CLUSTER" && code !== "PARTITION_ATTACHED",
    tables: [{ namespace: "public", collection: "orders", keys }],
  };
  const of = new KeyLedger(held);
  return {
    of,
    end: async () => {
      const found: AuditFinding[] = [];
      const reports: TableReport[] = [];
      for await (const report of of.compare((finding) => found.push(finding))) reports.push(report);
      const [{ inStream, notInStream, lost, gone, unexpected } = expect.unreachable()] = reports;
      said = found.map(({ what }) => what);
      return [found.map(({ code }) => code), { inStream, notInStream, lost, gone, unexpected }];
    },
  };
}

let sequence = 0;
let said: readonly string[] = [];
function see(of: KeyLedger, op: string, key: string, transaction?: number, table = "orders"): void {
  const headers: Record<string, string | undefined> = {
    "ce-subject": `public.${table}/${key}`,
    "Cdc-Tx": transaction === undefined ? undefined : String(transaction),
  };
  of.see({ subject: `cdc.shop.public.${table}.${op}.p01`, sequence: ++sequence, header: (name) => headers[name] });
}
/** A marker of a copy, by default of one that makes a gap good. */
function tell(of: KeyLedger, marker: object): void {
  of.copy(++sequence, { backfill: 1, state: "copying", rows: 0, gaps: [{ code: "SLOT_LOST" }], ...marker });
}
const none = { notInStream: 0, lost: 0, gone: 0, unexpected: 0 };

test("a copied row is in the stream; one that a later event deleted is not, and is said where it is there", async () => {
  const { of, end } = ledger("1", "2");
  for (const key of ["1", "2", "3"]) see(of, "read", key);
  for (const key of ["2", "3"]) see(of, "deleted", key, 60);

  expect(await end()).toEqual([["ROW_UNEXPECTED"], { ...none, inStream: 1, unexpected: 1 }]);
});

test("a row that was copied behind a gap is not lost in it", async () => {
  const { of, end } = ledger("1", "2");
  see(of, "created", "1", 10);
  of.gap(++sequence, { code: "SLOT_LOST", after: "a", upTo: "b" });
  see(of, "read", "2");

  expect(await end()).toEqual([[], { ...none, inStream: 2 }]);
});

test("a copied row that is not there is gone where an event behind it is shown, and no event of it is not", async () => {
  const { of, end } = ledger();
  for (const key of ["1", "2", "3"]) see(of, "read", key);
  see(of, "created", "9", 70);
  see(of, "deleted", "9", 71);
  see(of, "deleted", "2", 110); // behind the moment, as is what it undoes perhaps
  see(of, "read", "4");

  expect(await end()).toEqual([["ROW_GONE", "ROW_GONE"], { ...none, inStream: 0, gone: 2 }]);
});

test("where the table was emptied behind the moment no copied row is missed", async () => {
  const { of, end } = ledger();
  see(of, "read", "1");
  see(of, "created", "9", 70);
  see(of, "truncated", "", 110);

  expect(await end()).toEqual([["ROW_GONE"], { ...none, inStream: 0, gone: 1 }]); // 9 alone
});

const completed = { state: "completed", rows: 2, at: { after: null } };

test("a row of which a copy that makes a gap good says nothing is gone without a word; without a gap, or left out, it is missed", async () => {
  for (const [what, gone] of [
    [{}, 0],
    [{ gaps: [{ collections: ["public.orders"] }] }, 0],
    [{ gaps: undefined }, 1],
    [{ gaps: [{ collections: ["public.other"] }] }, 1],
    [{ leftOut: ["public.orders"] }, 1],
    [{ leftOut: ["public.other"], leftOutMore: true }, 1],
    [{ state: "cancelled" }, 1],
  ] as const) {
    const { of, end } = ledger("1", "2", "3");
    for (const key of ["1", "2", "3", "4"]) see(of, "created", key, 10);
    see(of, "deleted", "5", 11);
    tell(of, { ...what, state: "copying" });
    see(of, "read", "1");
    see(of, "read", "2");
    see(of, "updated", "3", 60);
    tell(of, { ...completed, ...what });

    expect(await end(), JSON.stringify(what)).toEqual([
      Array.from({ length: gone }, () => "ROW_GONE"),
      { ...none, inStream: 3, gone },
    ]);
  }
});

test("of a copy that began before the stream no row is gone, and neither is one that was changed behind the moment", async () => {
  const cut = ledger("1", "2");
  see(cut.of, "read", "1");
  tell(cut.of, { rows: 1, at: { after: { id: 1 } } });
  see(cut.of, "read", "2");
  tell(cut.of, completed);
  expect(await cut.end()).toEqual([[], { ...none, inStream: 2 }]);

  const { of, end } = ledger("1");
  for (const key of ["1", "2"]) see(of, "created", key, 10); // 2 was deleted in the gap
  tell(of, {});
  see(of, "updated", "1", 110);
  see(of, "created", "2", 111);
  tell(of, completed);
  expect(await end()).toEqual([[], { ...none, inStream: 1 }]);
});

test("a row that a gap of its table took is lost in it, though events of other tables went on meanwhile", async () => {
  const { of, end } = ledger("1", "2"); // written by 50
  see(of, "created", "1", 40);
  see(of, "created", "x", 60, "other");
  of.gap(++sequence, { code: "PUBLICATION_ALTERED", after: null, upTo: "b", collections: ["public.orders"] });

  expect(await end()).toEqual([["ROWS_LOST"], { ...none, inStream: 1, notInStream: 1, lost: 1 }]);
  expect(said).toEqual([
    "1 row of public.orders without an event, written since its last one before the gap PUBLICATION_ALTERED, up to b, or since the stream's first",
  ]);
});

test("a row of a table without an event is older than the stream where it is older than the stream's first event", async () => {
  const { of, end } = ledger("1"); // written by 50
  see(of, "created", "x", 60, "other");
  of.gap(++sequence, { code: "PUBLICATION_ALTERED", after: null, upTo: "b", collections: ["public.orders"] });

  expect(await end()).toEqual([[], { ...none, inStream: 0, notInStream: 1 }]);
});

test("a gap that takes rows of any age, or of another count of transactions, is told of each row without an event", async () => {
  for (const [code, named] of [
    ["PARTITION_ATTACHED", { collections: ["public.orders"] }],
    ["SOURCE_OTHER_CLUSTER", {}],
  ] as const) {
    const { of, end } = ledger("1", "2"); // written by 50
    see(of, "created", "1", 90);
    of.gap(++sequence, { code, after: "a", upTo: "b", ...named });

    expect(await end()).toEqual([["ROWS_LOST"], { ...none, inStream: 1, notInStream: 1, lost: 1 }]);
  }
});

test("behind a gap into another count of transactions the next gap goes by that one's", async () => {
  const { of, end } = ledger("2"); // written by 50
  see(of, "created", "1", 90);
  of.gap(++sequence, { code: "SOURCE_OTHER_CLUSTER", after: "a", upTo: "b" });
  see(of, "deleted", "1", 40);
  of.gap(++sequence, { code: "SLOT_LOST", after: "c", upTo: "d" });

  expect(await end()).toEqual([["ROWS_LOST"], { ...none, inStream: 0, notInStream: 1, lost: 1 }]);
});
