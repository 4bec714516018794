// The inbox: which events an automation has handled, each written in the transaction that holds its effect.

import { isDomainSubject } from "../../event/parse-domain-event.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { type SqlClient, sqlRunner } from "../../outbox/sql-client.ts";
import type { RunTransaction } from "./transaction.ts";

/** All is qualified: the transaction is the application's own, with its search_path. */
const INSERT = `insert into millrace.inbox (automation, event_id, run)
  values ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text)
  on conflict do nothing returning pg_catalog.pg_current_xact_id()::pg_catalog.text as xid,
    pg_catalog.current_setting('role') as role`;
const HAS = `select 1 as done from millrace.inbox
  where automation operator(pg_catalog.=) $1::pg_catalog.text and event_id operator(pg_catalog.=) $2::pg_catalog.text
    and run operator(pg_catalog.=) ''`;
/** Also has the commit be on disk when it is told: else the ack could outlive the effect. */
const LEAVE = `select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text as xid,
  pg_catalog.current_setting('role') as role,
  case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off'
    then pg_catalog.set_config('synchronous_commit', 'on', true) end`;
const SET_ROLE = "select pg_catalog.set_config('role', $1::pg_catalog.text, false)";
/** Begins a transaction that nobody else has a part in: what its statements name is Postgres' own. */
export const OWN_TRANSACTION = "set local search_path = pg_catalog, pg_temp";
/** In parts, so that no transaction is long. */
const PRUNE_ROWS = 5000;
const PRUNE = `with old as (
    delete from millrace.inbox where ctid = any (array(
      select ctid from millrace.inbox where at < now() - $1::text::interval limit ${PRUNE_ROWS}
    )) returning 1
  ) select count(*)::int as pruned from old`;

/**
 * Resolves to this transaction when it is the one that handles the event. A concurrent one is waited for; when it
 * commits, ours is not.
 * @param key of the event
 * @param before its key as entries before version 0.2 have it, where that differs
 */
export async function enterInbox(
  client: SqlClient,
  automation: string,
  { key, before, run = "" }: InboxKey,
): Promise<Entered | undefined> {
  const query = sqlRunner(client);
  const done = before === undefined || run !== "" ? [] : rowsOf(await query(HAS, [automation, before]));
  if (done.length > 0) return undefined;
  const [entry] = rowsOf(await query(INSERT, [automation, key, run]));
  return entry === undefined ? undefined : { xid: String(entry.xid), role: String(entry.role) };
}

/** The transaction that an entry was made in, and the role that was set there. */
export interface Entered {
  readonly xid: string;
  readonly role: string;
}

/** What makes an event one, in the inbox of an automation. */
export interface InboxKey {
  readonly key: string;
  readonly before?: string;
  /** A replay acts again: in its run an event is another one. */
  readonly run?: string | undefined;
}

/**
 * A change's id names its source. A domain event's is the application's own: two sources may use one uuid, or one for two
 * types.
 */
export function inboxKey(
  message: Pick<StoredMessage, "header" | "subject"> & { readonly run?: string | undefined },
  id: string,
): InboxKey {
  const { run } = message;
  if (!isDomainSubject(message.subject)) return { key: id, run };
  const [source, type] = ["ce-source", "ce-type"].map((name) => message.header(name) ?? "");
  return { key: `${id} ${source} ${type}`, before: id, run };
}

/** Call it last in the transaction; resolves to its id, which is another one where somebody has ended the first. */
export async function leaveInbox(client: SqlClient, { role }: Pick<Entered, "role">): Promise<string | undefined> {
  const run = sqlRunner(client);
  const [now] = rowsOf(await run(LEAVE, []));
  // The connection goes back to a pool: a SET ROLE of the work's would stay on it for the next handler.
  if (now?.role !== role) await run(SET_ROLE, [role]);
  return typeof now?.xid === "string" ? now.xid : undefined;
}

/** Deletes entries older than this; resolves to how many. */
export async function pruneInbox(transaction: RunTransaction, olderThanMs: number): Promise<number> {
  for (let pruned = 0; ; ) {
    const result = await transaction(async (client) => {
      const run = sqlRunner(client);
      await run(OWN_TRANSACTION, []);
      return await run(PRUNE, [`${Math.ceil(olderThanMs / 1000)} seconds`]);
    });
    const count = Number(rowsOf(result)[0]?.pruned ?? 0);
    pruned += count;
    if (count < PRUNE_ROWS) return pruned;
  }
}

/** postgres.js gives the rows themselves, pg and drizzle a result that has them. */
export function rowsOf(result: unknown): readonly Readonly<Record<string, unknown>>[] {
  return (Array.isArray(result) ? result : (result as { rows?: unknown }).rows) as Readonly<Record<string, unknown>>[];
}
