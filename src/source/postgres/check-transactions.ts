// What `check` says of transactions that have been open for long: no slot can be made, and no log dropped, past them.

import type { Finding } from "../../telemetry/finding.ts";
import type { Session } from "./session.ts";
import { nameOfTransaction } from "./slots.ts";
import { quoteIdentifier, quoteLiteral } from "./sql.ts";

export interface TransactionFacts {
  /** Null for a prepared one, which has no process. */
  readonly pid: number | null;
  /** Its name, of a prepared one. */
  readonly gid: string | null;
  readonly database: string | null;
  /** Whether that is the source's. */
  readonly here: boolean;
  /** Null where the role may not know. */
  readonly ageSeconds: number | null;
}

/** Of the whole cluster: a transaction of a neighbouring database holds the log as well. */
export async function readTransactions(session: Session): Promise<readonly TransactionFacts[]> {
  return session.query<{ [Key in keyof TransactionFacts]: TransactionFacts[Key] }>(`
    SELECT pid, NULL AS gid, datname AS database, coalesce(datname = current_database(), false) AS here,
      extract(epoch FROM clock_timestamp() - xact_start)::float8 AS "ageSeconds"
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL
    UNION ALL
    SELECT NULL, gid, database, database = current_database(), extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts
    ORDER BY 5 DESC NULLS LAST, 1, 2`);
}

/** @param oldSeconds from which age on one is worth a warning */
export function transactionFindings(
  transactions: readonly TransactionFacts[],
  oldSeconds: number,
  role: string,
): readonly Finding[] {
  const old = transactions.filter(({ ageSeconds }) => ageSeconds !== null && ageSeconds >= oldSeconds);
  const hidden = transactions.filter(({ ageSeconds }) => ageSeconds === null);
  const findings = old.map(oldFinding);
  if (hidden.length > 0) {
    findings.push({
      level: "warn",
      code: "TRANSACTIONS_HIDDEN",
      subject: `role ${role}`,
      message: `it may not see how long ${hidden.length} other writing transactions have been open`,
      fix: `GRANT pg_read_all_stats TO ${quoteIdentifier(role)}; -- for this check only; the worker does not need it`,
    });
  }
  if (findings.length > 0) return findings;
  const message = `none that writes is older than ${oldSeconds} s`;
  return [{ level: "ok", code: "TRANSACTION_OLD", subject: "transactions", message }];
}

function oldFinding({ pid, gid, database, here, ageSeconds }: TransactionFacts): Finding {
  const subject = nameOfTransaction({ pid, gid });
  const open = `open for ${Math.round(ageSeconds ?? 0)} s in the database ${database}`;
  const effect = "no slot can be made and no log dropped past it";
  if (gid !== null) {
    return {
      level: "warn",
      code: "TRANSACTION_PREPARED",
      subject,
      message: `${open}: ${effect}`,
      fix: `${here ? "" : `In the database ${database}: `}ROLLBACK PREPARED ${quoteLiteral(gid).trim()}; -- or COMMIT PREPARED`,
    };
  }
  return {
    level: "warn",
    code: "TRANSACTION_OLD",
    subject,
    message: `its transaction writes and is ${open}: ${effect}`,
    fix: `SELECT pg_catalog.pg_terminate_backend(${pid}); -- or let its application end it`,
  };
}
