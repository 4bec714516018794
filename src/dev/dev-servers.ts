// The servers of `millrace dev`: one for each place where the configuration names a variable that is not set.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { isEnvRef } from "../config/env.ts";
import { ConfigError, toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { freePort } from "./free-port.ts";
import { type NatsServer, startNats } from "./nats-server.ts";
import { type PostgresServer, startPostgres } from "./postgres.ts";

export interface DevServersOptions {
  /** The configuration's directory; the data lives in `.millrace/dev` below it. */
  readonly directory: string;
  readonly log: Logger;
}

/** Taken when they are free, so that urls stay the same from day to day. */
const PORTS = { postgres: 15_432, nats: 14_222 };

/** Which tables there are, and what tells their rows apart. */
const tables = `SELECT coalesce(string_agg(format('%s %s %s', c.oid, c.relname, c.relreplident), ', ' ORDER BY c.oid), '') AS names
  FROM pg_class c WHERE c.relkind IN ('r', 'p', 'i') AND c.relpersistence = 'p'
    AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|information_schema)')`;

export class DevServers implements AsyncDisposable {
  readonly #options: DevServersOptions;
  #postgres: PostgresServer | undefined;
  #nats: NatsServer | undefined;
  /** Urls of the databases, by the source's id. */
  readonly #databases = new Map<string, string>();

  constructor(options: DevServersOptions) {
    this.#options = options;
  }

  /**
   * Starts what a configuration lacks; what is running already stays.
   * @param config as it was written, its variables unread
   * @returns the variables that the worker needs beside those that are set
   * @throws ConfigError when a server cannot be had; DEV_SQL_FAILED
   */
  async provide(config: unknown): Promise<Readonly<Record<string, string>>> {
    const variables: Record<string, string> = {};
    for (const { id, variable } of unsetUrls(config)) variables[variable] = await this.#database(id, variable);
    const bus = unsetVariable(member(member(config, "bus"), "servers"));
    if (bus !== undefined) variables[bus] = await this.#bus(bus);
    return variables;
  }

  /** Changes when a table of the databases does. */
  async tables(): Promise<string> {
    const found = [...this.#databases.values()].map((url) => once(url, tables).catch(() => "away"));
    return JSON.stringify(await Promise.all(found));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#postgres?.stop(), this.#nats?.stop()]);
  }

  async #bus(variable: string): Promise<string> {
    if (this.#nats !== undefined) return this.#nats.url;
    const dataDir = join(this.#options.directory, ".millrace/dev/nats");
    this.#nats = await startNats({ dataDir, port: await freePort(PORTS.nats) });
    this.#options.log.info("dev_server_started", { server: "nats-server", url: this.#nats.url, variable });
    return this.#nats.url;
  }

  async #database(id: string, variable: string): Promise<string> {
    const known = this.#databases.get(id);
    if (known !== undefined) return known;
    this.#postgres ??= await startPostgres({
      dataDir: join(this.#options.directory, ".millrace/dev/postgres"),
      port: await freePort(PORTS.postgres),
    });
    const server = this.#postgres.url;
    const url = server.replace(/\/postgres$/, `/${id}`);
    const made = await once(server, "SELECT FROM pg_database WHERE datname = $1", [id]);
    if (made.length === 0) await this.#make(id, server, url);
    this.#databases.set(id, url);
    this.#options.log.info("dev_server_started", { server: "postgres", source: id, url, variable });
    return url;
  }

  /** With what `dev/<source>.sql` makes in it; a wrong one leaves no database behind, so that it is run again. */
  async #make(id: string, server: string, url: string): Promise<void> {
    await once(server, `CREATE DATABASE "${id}"`);
    const file = join(this.#options.directory, "dev", `${id}.sql`);
    if (!existsSync(file)) return;
    try {
      await once(url, await readFile(file, "utf8"));
    } catch (error) {
      await once(server, `DROP DATABASE "${id}" WITH (FORCE)`);
      throw new ConfigError("DEV_SQL_FAILED", `${file}: ${toError(error).message}`, {
        hint: "Mend it: it is run once, when the database is made.",
        cause: error,
      });
    }
  }
}

function unsetUrls(config: unknown): readonly { readonly id: string; readonly variable: string }[] {
  return Object.entries(member(config, "sources") ?? {}).flatMap(([id, source]) => {
    const variable = member(source, "kind") === "postgres" ? unsetVariable(member(source, "url")) : undefined;
    return variable === undefined ? [] : [{ id, variable }];
  });
}

function unsetVariable(value: unknown): string | undefined {
  return isEnvRef(value) && !process.env[value.env] ? value.env : undefined;
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

async function once(url: string, sql: string, values?: readonly unknown[]): Promise<readonly unknown[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on("error", () => {}); // the query tells
  await client.connect();
  try {
    return (await (values === undefined ? client.query(sql) : client.query(sql, [...values]))).rows;
  } finally {
    await client.end();
  }
}
