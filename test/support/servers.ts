// Real servers for one test file: a Postgres shared by its tests, a database and a nats-server for each.

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type QueryResultRow } from "pg";
import { inject } from "vitest";
import { type NatsServer, type NatsServerOptions, startNats } from "../../src/dev/nats-server.ts";
import { type PostgresServer, startPostgres } from "../../src/dev/postgres.ts";
import type { PostgresPackage } from "../../src/dev/postgres-binaries.ts";
import type { OlderPostgres } from "./postgres/older-postgres.ts";
import { copyPostgresTemplate } from "./postgres/template.ts";
import { waitFor } from "./wait-for.ts";

/**
 * Whether one of the servers cannot be had here; says so aloud. For `describe.skipIf(missing("postgres", "nats"))`.
 * Never true for a server that `REQUIRE` names: the run has failed before.
 */
export function missing(...names: readonly ("postgres" | "nats" | "mongodb" | "dynamodb" | OlderPostgres)[]): boolean {
  const reasons = names.flatMap((name) => inject("missingServers")[name] ?? []);
  for (const reason of reasons) console.error(`skipping tests: ${reason}`);
  return reasons.length > 0;
}

/** One database of its own on the file's shared Postgres. */
export interface Database extends AsyncDisposable {
  readonly url: string;
  readonly server: PostgresServer;
  /** Runs SQL in a session kept for this, a new one after the server was restarted; resolves to the rows. */
  query<Row extends QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Another session. The caller ends it. */
  connect(): Promise<Client>;
}

const cleanups: (() => Promise<void>)[] = [];

/** Called with the end of the file, the last one first. */
export function atEnd(cleanup: () => Promise<void>): void {
  cleanups.push(cleanup);
}

/** Ends all servers and removes all directories. After a test file it is called by test/support/each-file.ts. */
export async function cleanUp(): Promise<void> {
  shared = undefined;
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

let shared: Promise<PostgresServer> | undefined;
let databases = 0;

/**
 * Makes a database; disposing of it drops it and its slots. The server behind it is the file's own (or the one given):
 * it may be killed and frozen, and all databases of the file feel it.
 */
export async function freshDatabase(server?: PostgresServer): Promise<Database> {
  shared ??= server === undefined ? copiedPostgres() : undefined;
  const host = server ?? (await shared);
  if (host === undefined) throw new Error("no server");
  const name = `test_${++databases}`;
  await once(host.url, `create database ${name}`);
  const url = host.url.replace(/\/postgres$/, `/${name}`);
  const connect = async (): Promise<Client> => {
    const client = new Client({ connectionString: url });
    client.on("error", () => {}); // tests kill servers; the next query tells
    await client.connect();
    return client;
  };
  let session: Client | undefined;
  return {
    url,
    server: host,
    connect,
    query: async <Row extends QueryResultRow>(sql: string, values: readonly unknown[] = []) => {
      if (session === undefined) {
        session = await connect();
        // Lost with its server: the next query gets a new session.
        session.once("end", () => {
          session = undefined;
        });
      }
      return (await session.query<Row>(sql, [...values])).rows;
    },
    [Symbol.asyncDispose]: async () => {
      await session?.end();
      await dropDatabase(host.url, name);
    },
  };
}

/** The file's own: a copy of the run's template, where that is the version to test on. */
async function copiedPostgres(): Promise<PostgresServer> {
  const installed = process.env.VITEST !== undefined && process.env.POSTGRES === undefined;
  const template = installed ? inject("postgresTemplate") : undefined;
  return freshPostgres({}, undefined, template);
}

/**
 * A Postgres of its own, ended with the file. Data is not synced to disk: a killed process loses nothing by that.
 * @param older default: what the variable `POSTGRES` names (`postgres15`), else the installed one
 * @param template a data directory to copy; by default a new cluster is made
 */
export async function freshPostgres(
  settings: Readonly<Record<string, string>> = {},
  older: PostgresPackage | undefined = named(process.env.POSTGRES),
  template?: string,
): Promise<PostgresServer> {
  const dataDir = join(await scratchDir(), "postgres");
  if (template !== undefined) await copyPostgresTemplate(template, dataDir);
  const server = await startPostgres({
    dataDir,
    settings: { fsync: "off", ...settings },
    ...(older && { package: older }),
  });
  cleanups.push(() => server.stop("immediate"));
  return server;
}

function named(version: string | undefined): PostgresPackage | undefined {
  const found = version === undefined ? undefined : inject("olderPostgres")[version as OlderPostgres];
  if (version !== undefined && found === undefined) throw new Error(`POSTGRES names ${version}, which is missing`);
  return found;
}

/** A nats-server of its own, ended with the file or when disposed of. */
export async function freshNats(options: Omit<NatsServerOptions, "dataDir"> = {}): Promise<NatsServer> {
  const server = await startNats({ ...options, dataDir: join(await scratchDir(), "nats") });
  cleanups.push(() => server.kill());
  return server;
}

/** A directory that any user may enter, removed with the file. */
export async function scratchDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-test-"));
  await chmod(dir, 0o755);
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function once<Row extends QueryResultRow>(url: string, sql: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function dropDatabase(url: string, name: string): Promise<void> {
  const ofDatabase = `from pg_replication_slots where database = '${name}'`;
  const own = new URL(url);
  own.pathname = `/${name}`;
  const drop = async (): Promise<true> => {
    // What a failed test has left prepared would keep the database, and the test's own failure out of sight.
    const left = await once<{ undo: string }>(
      url,
      `select format('rollback prepared %L', gid) as undo from pg_prepared_xacts where database = '${name}'`,
    );
    for (const { undo } of left) await once(own.href, undo);
    // Each time: a worker that a test ends only after its database may have connected again.
    await once(url, `select pg_terminate_backend(active_pid) ${ofDatabase} and active_pid is not null`);
    await once(url, `select pg_drop_replication_slot(slot_name) ${ofDatabase}`);
    await once(url, `drop database ${name} with (force)`);
    return true;
  };
  // A reader needs a moment to let its slot go.
  await waitFor(drop, { what: `database ${name} to be dropped` });
}
