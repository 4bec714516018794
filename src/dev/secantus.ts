// SecantusDB: a server that speaks MongoDB's protocol and is not MongoDB, for the demo and the tests where there is no MongoDB.
// It is under the GPL: it runs as a process of its own, is never linked, shipped or installed, and is used where somebody put it.

import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { MongoClient, MongoServerError } from "mongodb";
import { ConfigError } from "../errors.ts";
import { freePort } from "./free-port.ts";
import { cacheDir, isExecutable, programsInPath } from "./programs.ts";
import { type DevServer, ServerProcess } from "./server-process.ts";

/** The version that everything here was tried with. */
export const SECANTUS_VERSION = "0.7.0b3";
export const SECANTUS_PROGRAM = "secantusd-py";
const UNAUTHORIZED = 13;

export interface SecantusOptions {
  /** Where its data and its log live; what is there already is used. */
  readonly dataDir: string;
  /** After so many entries of the oplog the oldest ones go, a thousand at a time. */
  readonly oplogEntries?: number;
  /** A line in the oplog at least so often; by default an idle change stream stands still. */
  readonly noopSeconds?: number;
  /** No member of a replica set. */
  readonly standalone?: boolean;
  /** Fail points, by `configureFailPoint`. */
  readonly testCommands?: boolean;
  /** It asks for passwords; users are made before, while it does not. */
  readonly auth?: boolean;
  /** It takes TLS alone. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/**
 * The path of the program: `MILLRACE_SECANTUS`, else one in `PATH`, else in the user's cache.
 * @throws ConfigError MONGODB_SERVER_MISSING that says how to put one there
 */
export function findSecantus(): string {
  const named = process.env.MILLRACE_SECANTUS;
  if (named !== undefined && named !== "") {
    if (isExecutable(named)) return named;
    throw new ConfigError("MONGODB_SERVER_MISSING", `MILLRACE_SECANTUS names no program: ${named}`, {
      hint: `point it at a ${SECANTUS_PROGRAM}, or unset it`,
    });
  }
  const environment = join(cacheDir(), `secantusdb-${SECANTUS_VERSION}`);
  const found = [...programsInPath(SECANTUS_PROGRAM), join(environment, "bin", SECANTUS_PROGRAM)].find(isExecutable);
  if (found !== undefined) return found;
  throw new ConfigError("MONGODB_SERVER_MISSING", "no MongoDB server found", {
    hint: `set MONGODB_URI to a replica set, or install SecantusDB (GPL-2.0, runs as a process of its own): python3 -m venv ${environment} && ${environment}/bin/pip install secantusdb==${SECANTUS_VERSION}`,
  });
}

/**
 * Starts it and waits until it answers. What it has acknowledged survives SIGKILL; it ends with this process at the latest.
 * @throws ConfigError when there is no program (how to get it), or when it does not start (the end of its log)
 */
export async function startSecantus(options: SecantusOptions): Promise<DevServer> {
  const { oplogEntries = 50_000_000, noopSeconds, standalone, testCommands, auth, tls } = options;
  const file = findSecantus();
  const dataDir = resolve(options.dataDir);
  const port = await freePort();
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  await mkdir(dataDir, { recursive: true });
  const server = new ServerProcess({
    name: "SecantusDB",
    file,
    args: [
      ...["--host", "127.0.0.1", "--port", String(port), "--storage-path", join(dataDir, "data"), "--sync-on-commit"],
      ...["--log-level", "WARNING", "--oplog-retention-seconds", "86400", "--oplog-max-entries", String(oplogEntries)],
      ...(noopSeconds === undefined ? [] : ["--noop-heartbeat-seconds", String(noopSeconds)]),
      ...(standalone ? ["--standalone"] : []),
      ...(testCommands ? ["--enable-test-commands"] : []),
      ...(auth ? ["--auth"] : []),
      ...(tls ? ["--tls-cert-file", tls.cert, "--tls-key-file", tls.key] : []),
    ],
    logFile: join(dataDir, "server.log"),
    user: undefined,
    endSignal: "SIGKILL",
    probe: () => probe(tls ? `${url}&tls=true&tlsAllowInvalidCertificates=true` : url),
    startTimeoutMs: 60_000,
  });
  await server.start();
  return server.handle({ url, port, dataDir }, () => server.kill("SIGTERM"));
}

async function probe(url: string): Promise<void> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 500 });
  try {
    await client.db("admin").command({ ping: 1 });
  } catch (error) {
    if (!(error instanceof MongoServerError && error.code === UNAUTHORIZED)) throw error; // it answers all the same
  } finally {
    await client.close();
  }
}
