// Starts a nats-server with JetStream on loopback, for `millrace dev`, the demo, the tests and the bench.

import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { findNatsServer } from "./find-nats-server.ts";
import { freePort } from "./free-port.ts";
import { type DevServer, ServerProcess } from "./server-process.ts";

export interface NatsServerOptions {
  /** Where its streams, its configuration and its log live; what is there already is used. */
  readonly dataDir?: string;
  /** A free one by default. */
  readonly port?: number;
  /** `always` (every acknowledgement is on disk) or a duration such as `2m`. */
  readonly syncInterval?: string;
  /** Bytes that it may store in files; by default most of what the disk has free. */
  readonly maxFileStore?: number;
  /** More lines for its configuration file. */
  readonly config?: string;
}

export interface NatsServer extends DevServer {
  /** Orderly; fine when it has ended already. */
  stop(): Promise<void>;
}

/**
 * Starts it and waits until JetStream answers. It ends with this process at the latest.
 * @throws ConfigError when there is no binary (what to install), or when it does not start (the end of its log)
 */
export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  const file = await findNatsServer();
  const dataDir = resolve(options.dataDir ?? ".millrace/nats");
  const port = options.port ?? (await freePort());
  const configFile = join(dataDir, "nats.conf");
  const limit = options.maxFileStore === undefined ? "" : `, max_file_store: ${options.maxFileStore}`;
  await mkdir(dataDir, { recursive: true });
  await writeFile(
    configFile,
    `listen: "127.0.0.1:${port}"
jetstream { store_dir: ${JSON.stringify(dataDir)}, sync_interval: ${options.syncInterval ?? "always"}${limit} }
${options.config ?? ""}
`,
  );

  const server = new ServerProcess({
    name: "nats-server",
    file,
    args: ["-c", configFile],
    logFile: join(dataDir, "server.log"),
    user: undefined,
    endSignal: "SIGTERM",
    probe: () => probe(port),
    startTimeoutMs: 30_000,
  });
  const stop = (): Promise<void> => server.kill("SIGTERM");
  await server.start();
  return server.handle({ url: `nats://127.0.0.1:${port}`, port, dataDir }, stop);
}

async function probe(port: number): Promise<void> {
  const connection = await connect({ servers: `127.0.0.1:${port}`, reconnect: false, timeout: 1_000 });
  try {
    const manager = await jetstreamManager(connection, { timeout: 1_000 });
    await manager.getAccountInfo();
  } finally {
    await connection.close();
  }
}
