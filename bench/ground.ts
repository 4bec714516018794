// What most benches stand on: a Postgres, a nats-server, the built command, and a directory for its configuration.

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Client } from "pg";
import { startNats } from "../src/dev/nats-server.ts";
import { startPostgres } from "../src/dev/postgres.ts";
import { buildCli } from "../test/support/process/build-cli.ts";
import type { BenchOptions } from "./result.ts";

export interface Ground {
  /** Holds the worker's configuration. */
  readonly dir: string;
  readonly cli: string;
  /** Options of Node's that the worker is started with. */
  readonly node: readonly string[];
  readonly url: string;
  readonly database: Client;
  readonly streams: JetStreamManager;
  readonly connection: NatsConnection;
  /** Versions by name. */
  readonly servers: Readonly<Record<string, string>>;
}

export interface GroundOptions {
  readonly sync: BenchOptions["sync"];
  /** Of Postgres. */
  readonly settings?: Readonly<Record<string, string>>;
  /** What the sources' configuration holds besides. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Ids of the sources, all of them reading the table `measured`. */
  readonly sources: readonly string[];
  /** A module that exports automations. */
  readonly automations?: string;
  /** Build the command with source maps, and start it with these options of Node's. */
  readonly node?: (dir: string) => readonly string[];
}

/** Starts the servers, measures, and leaves nothing behind. */
export async function onGround<T>(options: GroundOptions, measure: (ground: Ground) => Promise<T>): Promise<T> {
  const { sync, settings = {}, sources, automations } = options;
  const cli = await buildCli({ sourcemap: options.node !== undefined });
  const dir = await mkdtemp(resolve(".millrace/bench-"));
  await chmod(dir, 0o755); // started by root, Postgres runs as somebody else, and would keep its data elsewhere
  const interval = sync === "always" ? "always" : "2m";
  try {
    await using postgres = await startPostgres({ dataDir: `${dir}/postgres`, settings });
    await using nats = await startNats({ dataDir: `${dir}/nats`, syncInterval: interval });
    const { url } = postgres;
    const source = { kind: "postgres", url, tables: ["public.measured"], ...options.options };
    const config = {
      bus: { servers: nats.url, replicas: 1, fsync: interval },
      sources: Object.fromEntries(sources.map((id) => [id, source])),
      ...(automations === undefined ? {} : { automations: "./automations.mjs" }),
    };
    await writeFile(join(dir, "millrace.config.json"), JSON.stringify(config));
    if (automations !== undefined) await writeFile(join(dir, "automations.mjs"), automations);
    const database = new Client({ connectionString: url });
    await database.connect();
    const connection = await connect({ servers: nats.url });
    try {
      const servers = {
        postgres: await readText(database, "select current_setting('server_version') as text"),
        nats: connection.info?.version ?? "unknown",
      };
      const node = options.node?.(dir) ?? [];
      const manager = await jetstreamManager(connection);
      return await measure({ dir, cli: cli.file, node, url, database, streams: manager, connection, servers });
    } finally {
      await connection.close();
      await database.end();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
    await cli.remove();
  }
}

export async function readText(database: Client, sql: string): Promise<string> {
  const { rows } = await database.query<{ text: string }>(sql);
  const [row] = rows;
  if (row === undefined) throw new Error(`no row from ${sql}`);
  return row.text;
}
