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
      return [found.map(({ code }) => code), { inStream, notInStream, lost, gone, unexpected }];
    },
  };
}

let sequence = 0;
function see(of: KeyLedger, op: string, key: string, transaction?: number): void {
  const headers: Record<string, string | undefined> = {
    "ce-subject": `public.orders/${key}`,
    "Cdc-Tx": transaction === undefined ? undefined : String(transaction),
  };
  of.see({ subject: `cdc.shop.public.orders.${op}.p01`, sequence: ++sequence, header: (name) => headers[name] });
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
