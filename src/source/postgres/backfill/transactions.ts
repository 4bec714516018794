// What a slice needs of the server's transactions, and says of those that it waits for.

import type { Client } from "pg";
import { TransientError } from "../../../errors.ts";

/** It is given out, and has ended: each snapshot from now on is behind it. */
export async function nextId(client: Client): Promise<bigint> {
  const { rows } = await client.query<{ id: string }>("SELECT pg_current_xact_id()::text AS id");
  return BigInt(rows[0]?.id ?? 0);
}

export function inDoubt(why: "handed out" | "older"): TransientError {
  return why === "older"
    ? new TransientError(
        "BACKFILL_OLDER_TRANSACTIONS",
        "transactions that wrote before the copy began are still in progress",
        {
          hint: "The copy begins when they have ended: SELECT pid, xact_start, state FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start; prepared ones are in pg_prepared_xacts.",
        },
      )
    : new TransientError(
        "BACKFILL_COMMIT_UNSEEN",
        "a transaction whose events were published cannot be seen in the database yet",
        {
          hint: "It passes by itself within a moment; while a synchronous standby is away it lasts until that is back.",
        },
      );
}
