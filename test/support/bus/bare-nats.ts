// A nats-server with exactly the configuration given: for servers that cannot serve, or want credentials.

import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { findNatsServer } from "../../../src/dev/find-nats-server.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { ServerProcess } from "../../../src/dev/server-process.ts";
import { scratchDir } from "../servers.ts";

export interface BareNats {
  readonly host: string;
  /** Has it read another configuration, without a restart. */
  reload(config: string): Promise<void>;
  /** Ends it in order, and starts it with another configuration: no connection survives. */
  restart(config: string): Promise<void>;
  /** How often its log says this. */
  logged(text: string): Promise<number>;
}

/** Starts it; it ends with the test. Resolves to its host and port. */
export async function bareNats(config: string): Promise<string> {
  return (await startBareNats(config)).host;
}

/** The same, for a test that does something with it. */
export async function startBareNats(config: string): Promise<BareNats> {
  const dir = await scratchDir();
  const port = await freePort();
  const configFile = join(dir, "nats.conf");
  const logFile = join(dir, "server.log");
  const configure = (text: string): Promise<void> =>
    writeFile(configFile, `listen: "127.0.0.1:${port}"\n${text.replaceAll("$DIR", dir)}\n`);
  await configure(config);
  const server = new ServerProcess({
    name: "nats-server",
    file: await findNatsServer(),
    args: ["-c", configFile],
    logFile,
    user: undefined,
    endSignal: "SIGTERM",
    probe: () => probe(port),
    startTimeoutMs: 30_000,
  });
  await server.start();
  onTestFinished(() => server.kill("SIGKILL"));
  return {
    host: `127.0.0.1:${port}`,
    reload: async (text) => {
      await configure(text);
      process.kill(server.pid, "SIGHUP");
    },
    restart: async (text) => {
      await server.kill("SIGTERM");
      await configure(text);
      await server.start();
    },
    logged: async (text) => (await readFile(logFile, "utf8")).split(text).length - 1,
  };
}

async function probe(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "data"); // its INFO
  } finally {
    socket.destroy();
  }
}
