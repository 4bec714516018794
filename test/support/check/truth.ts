// The database's own account of what was committed, by a decoder that is not ours: test_decoding.

import { Client } from "pg";
import { type Keys, type LoggedChange, parseChange } from "./test-decoding.ts";

/** A change, and where its transaction's commit record ends. */
export interface TruthChange extends LoggedChange {
  readonly commitEnd: bigint;
}

export interface TruthSlot {
  /** Everything committed since the last call, in commit order. */
  read(): Promise<readonly TruthChange[]>;
  drop(): Promise<void>;
}

/**
 * Make it before the first write that counts.
 * @param keys of all tables; by default what the catalog says when it is read
 */
export async function createTruthSlot(url: string, name = "truth", keys?: Pick<Keys, "get">): Promise<TruthSlot> {
  await withClient(url, (client) =>
    client.query("select pg_create_logical_replication_slot($1, 'test_decoding')", [name]),
  );
  return {
    read: () => withClient(url, (client) => readAll(client, name, keys)),
    drop: async () => {
      await withClient(url, (client) => client.query("select pg_drop_replication_slot($1)", [name]));
    },
  };
}

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: url,
    options: "-c timezone=UTC -c datestyle=ISO -c statement_timeout=0",
  });
  client.on("error", () => {}); // the query that it breaks rejects
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function readAll(
  client: Client,
  slot: string,
  known: Pick<Keys, "get"> | undefined,
): Promise<readonly TruthChange[]> {
  const keys = known ?? (await readKeys(client));
  const changes: TruthChange[] = [];
  for (;;) {
    const { rows } = await client.query<{ lsn: string; xid: string; data: string }>(
      "select lsn::text, xid::text, data from pg_logical_slot_get_changes($1, null, 20000)",
      [slot],
    );
    if (rows.length === 0) return changes;
    let open: LoggedChange[] = [];
    for (const { lsn, xid, data } of rows) {
      if (data.startsWith("table ")) open.push(...parseChange(xid, data, keys));
      if (!data.startsWith("COMMIT")) continue;
      for (const change of open) changes.push({ ...change, commitEnd: parseLsn(lsn) });
      open = [];
    }
  }
}

function parseLsn(text: string): bigint {
  const [high = "", low = ""] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

/** The identity index's columns; with FULL the primary key's. */
async function readKeys(client: Client): Promise<Keys> {
  const { rows } = await client.query<{ name: string; columns: string[] }>(
    `select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name,
            array_agg(a.attname::text order by a.attnum) as columns
       from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_index i on i.indrelid = c.oid
       join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
      where case c.relreplident when 'i' then i.indisreplident else i.indisprimary end group by 1`,
  );
  return new Map(rows.map((row) => [row.name, row.columns]));
}
