// What `check` says of transactions that have been open for long: no slot can be made, and no log dropped, past them.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteLiteral } from "../client/sql.ts";
import { nameOfTransaction, type TransactionFacts } from "../slot/transactions.ts";

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
    findings.push(
      about(`role ${role}`).warn(
        "TRANSACTIONS_HIDDEN",
        `it may not see how long ${hidden.length} other writing transactions have been open`,
        `GRANT pg_read_all_stats TO ${quoteIdentifier(role)}; -- for this check only; the worker does not need it`,
      ),
    );
  }
  if (findings.length > 0) return findings;
  const message = `none that writes is older than ${oldSeconds} s`;
  return [about("transactions").ok("TRANSACTION_OLD", message)];
}

function oldFinding({ pid, gid, database, here, ageSeconds }: TransactionFacts): Finding {
  const { warn } = about(nameOfTransaction({ pid, gid }));
  const open = `open for ${Math.round(ageSeconds ?? 0)} s in the database ${database}`;
  const effect = "no slot can be made and no log dropped past it";
  if (gid !== null) {
    return warn(
      "TRANSACTION_PREPARED",
      `${open}: ${effect}`,
      `${here ? "" : `In the database ${database}: `}ROLLBACK PREPARED ${quoteLiteral(gid).trim()}; -- if it is not to come; else COMMIT PREPARED`,
    );
  }
  return warn(
    "TRANSACTION_OLD",
    `its transaction writes and is ${open}: ${effect}`,
    `SELECT pg_catalog.pg_terminate_backend(${pid}); -- if its application does not end it`,
  );
}
