// A real Postgres, for the contract.

import type { Connector } from "../../../src/source/connector.ts";
import { postgresConnector } from "../../../src/source/postgres/connector.ts";
import { freshDatabase } from "../../support/servers.ts";
import { realTime } from "../../support/virtual-time.ts";
import { waitFor } from "../../support/wait-for.ts";
import type { Row, SourceServer } from "./source-server.ts";

const READERS = `
  select pid from pg_stat_activity where datname = current_database() and application_name like 'millrace%'`;
const CONTENTS = `
  select (select json_agg(t order by t::text) from (select tablename, pubname from pg_publication_tables) t) as published,
    (select json_agg(s order by s::text) from (select slot_name, active from pg_replication_slots
      where database = current_database()) s) as slots,
    (select json_agg(c order by c::text) from (select oid::int, relname, relreplident from pg_class
      where relnamespace = 'public'::regnamespace) c) as tables,
    (select count(*)::int from orders) as rows`;

export const postgresServer: SourceServer = {
  connector: postgresConnector as Connector<unknown>,
  time: realTime,
  lines: 1,
  nowhere: () => ({ url: "postgres://nobody@127.0.0.1:1/nothing" }),
  wrong: [
    [{ url: 5 }, ".url"],
    [{ url: "postgres://a@b/c", tables: [] }, ".tables"],
    [{ url: "postgres://a@b/c", onGap: "perhaps" }, ".onGap"],
  ],
  bounds: { chunkBytes: 4 * 1024 * 1024, aheadBytes: 24 * 1024 * 1024 },
  fresh: async () => {
    const database = await freshDatabase();
    let columns = 0;
    await database.query("create table orders(key text primary key, text text)");
    await database.query("alter table orders alter text set storage external");
    const insert = async (rows: readonly Row[]): Promise<void> => {
      const [keys, texts] = [rows.map(({ key }) => key), rows.map(({ text = "" }) => text)];
      await database.query("insert into orders (key, text) select * from unnest($1::text[], $2::text[])", [
        keys,
        texts,
      ]);
    };
    return {
      section: (options) => ({ url: database.url, timeout: "3s", maxRowBytes: 1024 * 1024, ...options }),
      commit: (_, rows) => insert(rows),
      cut: async () => {
        await database.query(`select pg_terminate_backend(pid) from (${READERS}) readers`);
      },
      loseLog: async () => {
        const drop = async (): Promise<true> => {
          await database.query(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()",
          );
          return true;
        };
        await waitFor(drop, { what: "the slot to be dropped" }); // its reader needs a moment to let it go
      },
      sentBytes: async () => {
        const [row] = await database.query<{ sent: number }>(
          `select pg_wal_lsn_diff(sent_lsn, '0/0')::float8 as sent from pg_stat_replication where pid in (${READERS})`,
        );
        return row?.sent ?? 0;
      },
      contents: () => database.query(CONTENTS),
      alter: async () => {
        await database.query(`alter table orders add c${++columns} text`);
      },
      poison: (before, behind) =>
        insert([{ key: before }, { key: "0-poison", text: "x".repeat(2_000_000) }, { key: behind }]),
      leaveOut: async () => {
        await database.query("create table left_out(id int)");
      },
      [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
    };
  },
};
