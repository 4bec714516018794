// SecantusDB: a server that speaks MongoDB's protocol, for the demo and the tests of the MongoDB source where there is no MongoDB.
// It is under the GPL: it runs as a process of its own, is never linked, shipped or installed, and is used where somebody put it.

import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { MongoClient } from "mongodb";
import { ConfigError } from "../errors.ts";
import { freePort } from "./free-port.ts";
import { cacheDir, isExecutable, programsInPath } from "./programs.ts";
import { type DevServer, ServerProcess } from "./server-process.ts";

/** What the hint says to install. */
const VERSION = "0.7.0b3";
const PROGRAM = "secantusd-py";

export interface SecantusOptions {
  /** Where its data and its log live; what is there already is used. */
  readonly dataDir: string;
  /** A free one by default. */
  readonly port?: number;
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
      hint: `point it at a ${PROGRAM}, or unset it`,
    });
  }
  const environment = join(cacheDir(), `secantusdb-${VERSION}`);
  const found = [...programsInPath(PROGRAM), join(environment, "bin", PROGRAM)].find(isExecutable);
  if (found !== undefined) return found;
  throw new ConfigError("MONGODB_SERVER_MISSING", "no MongoDB server found", {
    hint: `set MONGODB_URI to a replica set, or install SecantusDB (GPL-2.0, runs as a process of its own): python3 -m venv ${environment} && ${environment}/bin/pip install secantusdb==${VERSION}`,
  });
}

/**
 * Starts it and waits until it answers. It ends with this process at the latest.
 * @throws ConfigError when there is no program (how to get it), or when it does not start (the end of its log)
 */
export async function startSecantus(options: SecantusOptions): Promise<DevServer> {
  const file = findSecantus();
  const dataDir = resolve(options.dataDir);
  const port = options.port ?? (await freePort());
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  await mkdir(dataDir, { recursive: true });
  const server = new ServerProcess({
    name: "SecantusDB",
    file,
    args: [
      ...["--host", "127.0.0.1", "--port", String(port), "--storage-path", join(dataDir, "data")],
      // Else a kill takes back what it has acknowledged, and an idle change stream stands still.
      ...["--log-level", "WARNING", "--sync-on-commit", "--noop-heartbeat-seconds", "1"],
      ...["--oplog-max-entries", "50000000", "--oplog-retention-seconds", "86400"],
    ],
    logFile: join(dataDir, "server.log"),
    user: undefined,
    endSignal: "SIGTERM",
    probe: () => probe(url),
    startTimeoutMs: 30_000,
  });
  await server.start();
  return server.handle({ url, port, dataDir }, () => server.kill("SIGTERM"));
}

async function probe(url: string): Promise<void> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 1_000 });
  try {
    await client.db("admin").command({ ping: 1 });
  } finally {
    await client.close();
  }
}
