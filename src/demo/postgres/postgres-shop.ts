// The demo's shop on Postgres: a server of its own, with the outbox and the inbox.

import { join } from "node:path";
import pg from "pg";
import { startPostgres } from "../../dev/postgres.ts";
import type { Automation } from "../../index.ts";
import { migrationSql } from "../../outbox/migration-sql.ts";
import type { Latency } from "../latency.ts";
import { byTransaction, type IndependentLog, type Ledger, type ShopDatabase } from "../shop-database.ts";
import { listeners, shopAutomations } from "./automations.ts";
import { SlotLog } from "./independent-log.ts";
import { shopTables } from "./shop.ts";
import { writeShop } from "./writer.ts";

/** Starts it below a directory. @throws ConfigError when the server cannot be had */
export async function openPostgresShop(directory: string): Promise<ShopDatabase> {
  const postgres = await startPostgres({ dataDir: join(directory, "postgres") });
  const database = new pg.Client({ connectionString: postgres.url });
  // What a handler writes need not be on disk before it returns: only what the shop commits is at stake here.
  const effects = new pg.Pool({ connectionString: postgres.url, max: 5, options: "-c synchronous_commit=off" });
  database.on("error", () => {}); // the next query tells
  effects.on("error", () => {});
  const shop = {
    server: "Postgres",
    source: { kind: "postgres", url: postgres.url, tables: ["public.*"], outbox: true },
    dataDir: postgres.dataDir,
    ...byTransaction,
    listeners,
    automations: (latency: Latency): readonly Automation[] => shopAutomations(effects, latency),
    openLog: (): Promise<IndependentLog> => SlotLog.start(database),
    ledger: async (): Promise<Ledger> => {
      const { rows } = await database.query<Ledger>(
        `select (select coalesce(sum(changes), 0)::float8 from ledger.entries) as committed,
                (select count(*)::float8 from ledger.effects) as handled`,
      );
      return { committed: rows[0]?.committed ?? 0, handled: rows[0]?.handled ?? 0 };
    },
    write: (signal: AbortSignal): Promise<void> => writeShop(postgres.url, signal),
    [Symbol.asyncDispose]: async (): Promise<void> => {
      await effects.end();
      await database.end();
      await postgres.stop();
    },
  };
  try {
    await database.connect();
    await database.query(`${migrationSql("outbox")}; ${migrationSql("inbox")}; ${shopTables}`);
    return shop;
  } catch (error) {
    await shop[Symbol.asyncDispose]();
    throw error;
  }
}
