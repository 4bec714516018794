// Starts a real Postgres on loopback, ready for logical replication, for `millrace dev`, the demo and the tests.

import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chownSync, existsSync, mkdirSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { ConfigError, toError } from "../errors.ts";
import { freePort } from "./free-port.ts";
import { type PostgresPackage, postgresBinaries } from "./postgres-binaries.ts";
import { type DevServer, ServerProcess } from "./server-process.ts";
import { openToOthers, sharedDir } from "./shared-dir.ts";

export interface PostgresServerOptions {
  /** Where the database lives; what is there already is used. */
  readonly dataDir?: string;
  /** A free one by default. */
  readonly port?: number;
  /** Other binaries than those of the installed package. */
  readonly package?: PostgresPackage;
  /** Server settings by name, over ours. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface PostgresServer extends DevServer {
  /** `fast` (default) ends all sessions in order; `immediate` recovers at the next start. Fine when it has ended already. */
  stop(mode?: "fast" | "immediate"): Promise<void>;
}

/** Anybody on this machine may connect as `postgres`, without a password. */
const DEFAULTS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  wal_level: "logical",
  max_replication_slots: "20",
  max_wal_senders: "20",
};

/**
 * Starts it and waits until it answers. It ends with this process at the latest. As root it runs as `nobody`, its
 * data outside of `dataDir` where that user cannot reach it: the handle's `dataDir` says where.
 * @throws ConfigError when the binaries are not installed, or when it does not start (the end of its log)
 */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const user = process.getuid?.() === 0 ? nobody() : undefined;
  const binaries = postgresBinaries(user !== undefined, options.package);
  const dataDir = makeParent(resolve(options.dataDir ?? ".millrace/postgres"), user);
  const port = options.port ?? (await freePort());
  if (!existsSync(join(dataDir, "PG_VERSION"))) await initialize(binaries, dataDir, user);

  const settings = Object.entries({ ...DEFAULTS, ...options.settings, port: String(port) });
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const server = new ServerProcess({
    name: "postgres",
    file: join(binaries, "bin/postgres"),
    args: ["-D", dataDir, ...settings.flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    logFile: join(dataDir, "server.log"),
    user,
    endSignal: "SIGQUIT",
    probe: () => probe(url),
    startTimeoutMs: 60_000,
  });
  const stop = (mode: "fast" | "immediate" = "fast"): Promise<void> =>
    server.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
  await server.start();
  return server.handle({ url, port, dataDir }, stop);
}

type User = { readonly uid: number; readonly gid: number };

/** Postgres refuses to run as root. */
function nobody(): User {
  try {
    const [uid, gid] = ["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, "nobody"])));
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  } catch (error) {
    throw new ConfigError("POSTGRES_AS_ROOT", "Postgres refuses root, and there is no user nobody to run it as", {
      hint: "run this as an ordinary user",
      cause: error,
    });
  }
  throw new ConfigError("POSTGRES_AS_ROOT", "Postgres refuses root", { hint: "run this as an ordinary user" });
}

/** The data directory to use, its parent made: the one asked for, or one of its own where the other user can reach it. */
function makeParent(asked: string, user: User | undefined): string {
  mkdirSync(dirname(asked), { recursive: true });
  if (user === undefined || openToOthers(dirname(asked))) return asked;
  return join(sharedDir(), createHash("sha256").update(asked).digest("hex").slice(0, 16));
}

/** Makes it aside and renames: an interrupted one leaves no half database in the way of the next start. */
async function initialize(binaries: string, dataDir: string, user: User | undefined): Promise<void> {
  const aside = `${dataDir}.${process.pid}`;
  await rm(aside, { recursive: true, force: true });
  mkdirSync(aside, { mode: 0o700 });
  if (user !== undefined) chownSync(aside, user.uid, user.gid);
  const args = ["-D", aside, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
  try {
    await promisify(execFile)(join(binaries, "bin/initdb"), args, { ...user, cwd: "/" });
    await rename(aside, dataDir);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (existsSync(join(dataDir, "PG_VERSION"))) return; // another process was faster
    throw new ConfigError("DEV_SERVER_FAILED", `initdb failed: ${toError(error).message}`, {
      hint: `see that ${dataDir} is empty or missing, and that its disk has room`,
      cause: error,
    });
  }
}

async function probe(connectionString: string): Promise<void> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 2_000 });
  client.on("error", () => {}); // a connection lost while starting up is one more attempt
  try {
    await client.connect();
    await client.query("select 1");
  } finally {
    await client.end().catch(() => {});
  }
}
