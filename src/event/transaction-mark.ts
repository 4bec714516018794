// What a message says of the transaction that it belongs to.

import { percentDecode } from "./percent.ts";

/** The transaction of an event, and whether the event is its last one. */
export interface TransactionMark {
  readonly id: string;
  readonly last: boolean;
}

/** Of `Cdc-Tx` and `Cdc-Tx-Last`; undefined for a message that stands by itself. */
export function transactionMark(message: { header(name: string): string | undefined }): TransactionMark | undefined {
  const id = message.header("Cdc-Tx");
  if (id === undefined || id === "") return undefined;
  return { id: percentDecode(id), last: message.header("Cdc-Tx-Last") === "1" };
}
