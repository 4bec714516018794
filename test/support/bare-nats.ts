// A nats-server with exactly the configuration given: for servers that cannot serve, or want credentials.

import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { findNatsServer } from "../../src/dev/find-nats-server.ts";
import { freePort } from "../../src/dev/free-port.ts";
import { ServerProcess } from "../../src/dev/server-process.ts";
import { scratchDir } from "./servers.ts";

/** Starts it; it ends with the test. Resolves to its host and port. */
export async function bareNats(config: string): Promise<string> {
  const dir = await scratchDir();
  const port = await freePort();
  const configFile = join(dir, "nats.conf");
  await writeFile(configFile, `listen: "127.0.0.1:${port}"\n${config.replaceAll("$DIR", dir)}\n`);
  const server = new ServerProcess({
    name: "nats-server",
    file: await findNatsServer(),
    args: ["-c", configFile],
    logFile: join(dir, "server.log"),
    user: undefined,
    endSignal: "SIGTERM",
    probe: () => probe(port),
    startTimeoutMs: 30_000,
  });
  await server.start();
  onTestFinished(() => server.kill("SIGKILL"));
  return `127.0.0.1:${port}`;
}

async function probe(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "data"); // its INFO
  } finally {
    socket.destroy();
  }
}
