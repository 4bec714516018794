// Says in a transaction what caused it: every change of it then carries that, out of the database and on.

import { LINEAGE_PREFIX, type Lineage, type LineageSeal, lineageText } from "../event/lineage.ts";
import { type SqlClient, sqlRunner } from "./sql-client.ts";

/** All is qualified: the session is the application's own. */
const MESSAGE = `select pg_catalog.pg_logical_emit_message(true, '${LINEAGE_PREFIX}',
  pg_catalog.convert_to($1::pg_catalog.text, 'UTF8'))`;

/**
 * Call it first in the transaction: what was written before it does not carry it. Only `tx()` of an automation can seal it;
 * of what others write, the two ids are carried, and neither hops, automation nor trail.
 * @throws PoisonError LINEAGE_MALFORMED before anything is written; what the client throws
 */
export async function writeLineage(transaction: SqlClient, lineage: Lineage, seal?: LineageSeal): Promise<void> {
  await sqlRunner(transaction)(MESSAGE, [lineageText(lineage, seal)]);
}
