// SecantusDB: speaks MongoDB's protocol, and is not MongoDB. Tests run it as a process of its own (its licence is the GPL): it
// is never linked, and never shipped.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { MongoClient, MongoServerError } from "mongodb";
import { freePort } from "../../../src/dev/free-port.ts";
import { type DevServer, ServerProcess } from "../../../src/dev/server-process.ts";
import { toError } from "../../../src/errors.ts";

const run = promisify(execFile);

export const SECANTUS = "0.7.0b3";
const INSTALL_MS = 180_000;
const UNAUTHORIZED = 13;

/**
 * The path of its program: `MILLRACE_SECANTUS`, else in a Python environment of its own, made at the first need.
 * @throws Error that says why it cannot be had
 */
export async function findSecantus(): Promise<string> {
  const named = process.env.MILLRACE_SECANTUS;
  if (named !== undefined && named !== "") {
    if (existsSync(named)) return named;
    throw new Error(`MILLRACE_SECANTUS names no program: ${named}`);
  }
  const place = join(tmpdir(), `millrace-accept-secantus-${SECANTUS}`);
  const file = join(place, "bin", "secantusd-py"); // the last thing that pip makes
  if (existsSync(file)) return file;
  try {
    await run("python3", ["-m", "venv", place], { timeout: INSTALL_MS });
    await run(join(place, "bin", "pip"), ["install", "-q", `secantusdb==${SECANTUS}`], { timeout: INSTALL_MS });
  } catch (error) {
    const { stderr = "" } = error as { readonly stderr?: string };
    const why = stderr.trim().split("\n").at(-1) || toError(error).message;
    throw new Error(`SecantusDB ${SECANTUS} could not be installed (Python and PyPI are needed): ${why}`);
  }
  return file;
}

export interface SecantusOptions {
  readonly dataDir: string;
  /** After so many entries the oldest ones go, a thousand at a time. */
  readonly oplogEntries?: number;
  /** A line in the log at least so often. */
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

/** Starts one and waits until it answers. What it has acknowledged survives SIGKILL. @throws Error when it does not start */
export async function startSecantus(options: SecantusOptions): Promise<DevServer> {
  const { dataDir, oplogEntries = 1_000_000, noopSeconds, standalone, testCommands, auth, tls } = options;
  const file = await findSecantus();
  const port = await freePort();
  await mkdir(dataDir, { recursive: true });
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
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
