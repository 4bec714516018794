// The database's own account of what was committed: a second slot, decoded by Postgres' test_decoding and not by Millrace.

import type pg from "pg";
import type { IndependentLog, ShopChange } from "../shop-database.ts";

const SLOT = "demo_independent";
const AT_ONCE = 5000;

const ops: Readonly<Record<string, string>> = { INSERT: "created", UPDATE: "updated", DELETE: "deleted" };

export class SlotLog implements IndependentLog {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  /** Everything committed from now on will be read. */
  static async start(client: pg.Client): Promise<SlotLog> {
    await client.query("select pg_create_logical_replication_slot($1, 'test_decoding')", [SLOT]);
    return new SlotLog(client);
  }

  /** Reading it lets the database drop its log. */
  async read(): Promise<ShopChange[]> {
    const changes: ShopChange[] = [];
    for (;;) {
      const { rows } = await this.#client.query<{ xid: string; data: string }>(
        "select xid::text, data from pg_logical_slot_get_changes($1, null, $2, 'skip-empty-xacts', '1')",
        [SLOT, AT_ONCE],
      );
      if (rows.length === 0) return changes;
      for (const { xid, data } of rows) {
        const change = parseLine(xid, data);
        if (change !== undefined) changes.push(change);
      }
    }
  }
}

const changed = /^table public\.(\w+): ([A-Z]+): id\[bigint\]:(\d+)/;
/** The row is deleted in the same transaction: that is no news. */
const emitted =
  /^table millrace\.outbox: INSERT: id\[uuid\]:'([^']+)' aggregatetype\[text\]:'(\w+)' aggregateid\[text\]:'\d+' type\[text\]:'(\w+)'/;

/** `table public.orders: INSERT: id[bigint]:1 …`; undefined for what is not about the shop. */
export function parseLine(transaction: string, line: string): ShopChange | undefined {
  const [, uuid, aggregate, name] = emitted.exec(line) ?? [];
  if (uuid !== undefined && aggregate !== undefined && name !== undefined)
    return { transaction, table: aggregate, op: name, id: uuid };
  const [, table, verb, id] = changed.exec(line) ?? [];
  const op = verb === undefined ? undefined : ops[verb];
  return table === undefined || op === undefined || id === undefined ? undefined : { transaction, table, op, id };
}
