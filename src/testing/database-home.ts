// Says of a test's database that a source reads its outbox: in the kit no source does, and all else of tx() is as in a worker.

import { OWN_TRANSACTION, rowsOf } from "../automation/tx/inbox.ts";
import { type Database, transactionsOf } from "../automation/tx/transaction.ts";
import { sqlRunner } from "../outbox/sql-client.ts";

const NAME = `select pg_catalog.current_database() as database,
  pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute') as may_ask`;
const SYSTEM = "select system_identifier::text as system from pg_control_system()";

/** @throws what the database's driver throws */
export async function databaseHome(db: Database): Promise<{ readonly database: string; readonly messages: true }> {
  return await transactionsOf(db)(async (client) => {
    const run = sqlRunner(client);
    await run(OWN_TRANSACTION, []);
    const [row] = rowsOf(await run(NAME, []));
    const [system] = row?.may_ask === true ? rowsOf(await run(SYSTEM, [])) : [];
    return { database: `${system?.system ?? "?"}/${row?.database}`, messages: true };
  });
}
